"""The in-graph mode: a Seldon `ROUTER` that decides as the gateway does, by the same function.

    seldon-core-microservice belisha.components.route.router.TrafficRouter --service-type ROUTER

In the graph it is a node with `type: ROUTER` and `methods: [TRANSFORM_INPUT, SEND_FEEDBACK]`. Without the second, Seldon's
executor sends it no feedback. Without the first, the executor gives a refused caller its own request back under the status 403,
for it drops the body of a failed `/route`; of a failed `/transform-input` it passes on status and body.

Its children are the champion and the challenger, in the order of the parameter `children`. It routes messages (JSON or gRPC);
raw picture bodies need predictors behind the mesh's own split, for the wrapper's router reads JSON alone. A router answers
with one child, so the policy's shadow share does nothing here.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from belisha.components.route.following import Child, Follower, PolicyFile, targets_of
from belisha.components.route.router_metrics import UNKNOWN, RouterMetrics, Source
from belisha.components.route.routing import Caller, Denied, Route, Target, route
from belisha.components.shared.errors import BelishaError, InputError
from belisha.components.shared.ledger import Ledger, LedgerState
from belisha.components.shared.metrics_server import metrics_address, serve_metrics
from belisha.components.shared.process_metrics import temporary_metrics_folder
from belisha.components.shared.registry import REGISTRY_FOLDER
from belisha.components.shared.storage import join_uri, open_store

_UNIT_ID = "PREDICTIVE_UNIT_ID"
_HEADERS = {
    "request_id": ("x-request-id", "seldon-puid"),
    "camera": ("x-belisha-camera",),
    "client": ("x-belisha-client",),
    "wanted": ("x-belisha-model",),
}
_TAGS = {"request_id": "request_id", "camera": "camera", "client": "client", "wanted": "model"}


class RouteDeniedError(BelishaError):
    """A request is not routed; `str()` of it is what the caller reads. 403 where the policy refuses, 400 for no message."""

    def __init__(self, sentence: str, request_id: str = "", *, status: int = 403) -> None:
        super().__init__(sentence)
        self.request_id, self.status = request_id, status


@dataclass(frozen=True, slots=True)
class Facts:
    """What a message and its transport say, before they are a `Caller`; names of headers in lower case."""

    tags: Mapping[str, Any]
    puid: str
    headers: Mapping[str, str]


def caller_of(facts: Facts) -> Caller:
    """The caller: headers, which the edge sets, go before tags, which the message carries."""

    def said(name: str) -> str:
        headers = (facts.headers.get(header, "") for header in _HEADERS[name])
        tag = facts.tags.get(_TAGS[name], "")
        return next(filter(None, headers), "") or (tag if isinstance(tag, str) else "")

    request_id = said("request_id") or facts.puid or uuid.uuid4().hex
    return Caller(request_id, client=said("client"), camera=said("camera"), wanted=said("wanted"))


class TrafficRouter:
    """Sends each request to the champion or the challenger.

    The wrapper makes it in a parent process and calls `load` in each worker; threads and the store begin there.
    """

    def __init__(
        self,
        children: str,
        challenger_traffic_ratio: float = 0.0,
        children_bytes: str = "",
        policy_path: str = "",
        storage_uri: str = "",
        follow_seconds: float = 0.5,
    ) -> None:
        """Read the settings; the names are those of Seldon's graph parameters.

        Args:
            children: model versions of the graph's children, the champion first, separated by commas.
            challenger_traffic_ratio: share of the second child, 0..1; the ledger's goes before it.
            children_bytes: sizes of their ONNX files; without them no camera with a size bound is served.
            policy_path: the policy file; none admits everybody.
            storage_uri: where the ledger lies that is followed; empty for the weights above.
            follow_seconds: between two looks at policy and ledger.

        Raises:
            InputError: a parameter or the policy cannot be used.
        """
        self._children = _children_of(children, children_bytes)
        if not 0 <= challenger_traffic_ratio <= 1:
            raise InputError(f"challenger_traffic_ratio is {challenger_traffic_ratio}, expected 0 to 1: correct it")
        versions = [child.version for child in self._children]
        challenger = versions[1] if len(versions) > 1 else None
        self._targets = targets_of(self._children, LedgerState(versions[0], challenger, challenger_traffic_ratio))
        self._policy = PolicyFile(Path(policy_path) if policy_path else None)
        self._storage_uri, self._follow_seconds = storage_uri, follow_seconds
        self._follows = bool(policy_path or storage_uri)
        self._ledger: Ledger | None = None
        self._follower: Follower | None = None
        self._folder = temporary_metrics_folder()
        deployment = os.environ.get("SELDON_DEPLOYMENT_ID") or "belisha"
        self.metrics = RouterMetrics(deployment, os.environ.get("PREDICTOR_ID") or "router", versions, self._folder)

    def load(self) -> None:
        """Look at policy and ledger once, then follow them in a thread of this process."""
        if self._storage_uri:
            self._ledger = Ledger(open_store(join_uri(self._storage_uri, REGISTRY_FOLDER)), actor="router")
        self.look()
        if self._follower is None and self._follows:
            self._follower = Follower(self.look, self._follow_seconds)
            self._follower.start()

    def look(self) -> None:
        """Read what changed; what cannot be read leaves the state before in force, and the metric says so."""
        self.metrics.stale(Source.POLICY, is_stale=not self._policy.look())
        if self._ledger is not None:
            try:
                self._targets = targets_of(self._children, self._ledger.state())
                self.metrics.stale(Source.LEDGER, is_stale=False)
            except BelishaError:
                self.metrics.stale(Source.LEDGER, is_stale=True)

    def decide(self, caller: Caller, at: datetime) -> Route:
        """The model that answers; raises RouteDeniedError, and counts that."""
        found = route(self._policy.policy, self._targets, caller, at)
        if isinstance(found, Denied):
            self.metrics.denied()
            raise RouteDeniedError(found.reason, caller.request_id)
        return found

    def transform_input_raw(self, request: Any) -> Any:
        """The message as it came, or the refusal that `route_raw` would give; see above why it is asked here, too.

        Raises:
            RouteDeniedError: the policy refuses, or the request is no message.
        """
        self.decide(_caller_of_message(request), datetime.now(UTC))
        return request

    def route_raw(self, request: Any) -> Any:
        """Answer the wrapper's `route` with a child's index.

        Args:
            request: a message as dict (REST) or a `SeldonMessage` (gRPC).

        Returns:
            A message of the same kind: the index as a 1 x 1 array, and the decision among the tags.

        Raises:
            RouteDeniedError: the policy refuses, or the request is no message.
        """
        decision = self.decide(_caller_of_message(request), datetime.now(UTC))
        self.metrics.routed(decision.target.version, drawn=decision.drawn)
        index = [child.version for child in self._children].index(decision.target.version)
        tags: dict[str, str | bool] = {
            "model_version": decision.target.version,
            "role": decision.target.role,
            "reason": decision.reason,
            "drawn": decision.drawn,
        }
        if isinstance(request, Mapping):
            return {"data": {"ndarray": [[index]]}, "meta": {"tags": tags}}
        return _grpc_answer(index, tags)

    def send_feedback_raw(self, feedback: Any) -> Any:
        """Count the reward of a `Feedback` message for the child that its answer's routing names, a reward of 0 too."""
        from seldon_core.proto import prediction_pb2

        routing = feedback.response.meta.routing
        unit = os.environ.get(_UNIT_ID, "0")
        index = routing.get(unit, -1)
        known = 0 <= index < len(self._children)
        self.metrics.rewarded(self._children[index].version if known else UNKNOWN, feedback.reward)
        return prediction_pb2.SeldonMessage()

    @property
    def model_error_handler(self) -> Any:
        """The blueprint that the wrapper registers: a refusal is one sentence."""
        from flask import Blueprint, Response, jsonify

        hooks = Blueprint("belisha_router", __name__)

        def refuse(error: RouteDeniedError) -> Response:
            response = jsonify({"error": str(error), "request_id": error.request_id})
            response.status_code = error.status
            return response

        hooks.app_errorhandler(RouteDeniedError)(refuse)
        return hooks

    def custom_service(self) -> None:
        """Serve the metrics of all workers, in a process of its own."""
        serve_metrics(self.metrics.page().exposition, *metrics_address(), self._folder)

    def close(self) -> None:
        """End the thread."""
        if self._follower is not None:
            self._follower.close()

    @property
    def targets(self) -> list[Target]:
        """Who serves now, by which weight."""
        return list(self._targets)


def _children_of(names: str, sizes: str) -> list[Child]:
    versions = [name.strip() for name in names.split(",") if name.strip()]
    if not 1 <= len(versions) <= 2 or len(set(versions)) != len(versions):
        raise InputError(f"children is {names!r}, expected one or two different model versions: correct the parameter")
    texts = [size.strip() for size in sizes.split(",") if size.strip()] or [str(sys.maxsize)] * len(versions)
    if len(texts) != len(versions) or not all(text.isdecimal() for text in texts):
        raise InputError(f"children_bytes is {sizes!r}, expected a number for each of {names}: correct the parameter")
    return [Child(version, int(text)) for version, text in zip(versions, texts, strict=True)]


def _caller_of_message(request: Any) -> Caller:
    """The caller of a message: a dict over REST, a `SeldonMessage` over gRPC; raises RouteDeniedError."""
    if isinstance(request, Mapping):
        return caller_of(_facts_of_rest(request))
    if not hasattr(request, "meta"):
        raise RouteDeniedError("the body is no Seldon message: send a JSON object", status=400)
    return caller_of(_facts_of_grpc(request))


def _facts_of_rest(message: Mapping[str, Any]) -> Facts:
    from flask import has_request_context, request

    meta = message.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    tags, puid = meta.get("tags"), meta.get("puid")
    return Facts(
        tags if isinstance(tags, Mapping) else {},
        puid if isinstance(puid, str) else "",
        {name.lower(): value for name, value in request.headers} if has_request_context() else {},
    )


def _facts_of_grpc(message: Any) -> Facts:
    return Facts({name: value.string_value for name, value in message.meta.tags.items()}, message.meta.puid, {})


def _grpc_answer(index: int, tags: Mapping[str, str | bool]) -> Any:
    from google.protobuf import json_format
    from seldon_core.proto import prediction_pb2

    value = {"data": {"tensor": {"shape": [1, 1], "values": [index]}}, "meta": {"tags": dict(tags)}}
    return json_format.ParseDict(value, prediction_pb2.SeldonMessage())
