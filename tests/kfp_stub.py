"""A KFP API of our own on loopback: a real HTTP server, with faults on order, that knows the API's shape from kfp's own models.

Every request's path, query and body are held against `kfp_server_api`, the client that KFP generates from its API: what it does
not know is answered with 400 and kept in `complaints`, which tests assert to be empty. It also runs as a process of its own:
`python kfp_stub.py PORT_FILE` (see bench/bench_retrain.py).
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import itertools
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
import yaml

API = "/apis/v2beta1"
# The smallest pipeline that it takes.
PACKAGE = b"pipelineInfo: {name: p}\nroot: {dag: {tasks: {}}}\nschemaVersion: 2.1.0\nsdkVersion: kfp-2.17.0\n"
MODELS = {
    "run": kfp_server_api.V2beta1Run,
    "runtime_config": kfp_server_api.V2beta1RuntimeConfig,
    "pipeline_version_reference": kfp_server_api.V2beta1PipelineVersionReference,
    "experiment": kfp_server_api.V2beta1Experiment,
    "recurring_run": kfp_server_api.V2beta1RecurringRun,
    "trigger": kfp_server_api.V2beta1Trigger,
    "cron_schedule": kfp_server_api.V2beta1CronSchedule,
    "pipeline": kfp_server_api.V2beta1Pipeline,
    "filter": kfp_server_api.V2beta1Filter,
    "predicates": kfp_server_api.V2beta1Predicate,
}
LIST_QUERY = {"page_token", "page_size", "sort_by", "filter", "namespace", "experiment_id"}
KINDS = {"str": str, "bool": bool, "int": int, "object": dict}


@dataclass
class Fault:
    """What happens to the next requests that fit.

    Attributes:
        method: of the request.
        path: pattern of its path.
        times: how often.
        status: answered instead; 0 cuts the connection.
        body: of that answer.
        headers: of that answer.
        applied: whether the request takes effect although it is answered so.
        delay_seconds: before it takes effect: a request that the network holds back.
        passed_on: it is only delayed, and answered as it should be.
    """

    method: str
    path: str
    times: int = 1
    status: int = 500
    body: bytes = b'{"error": "made to fail", "code": 13, "message": "made to fail"}'
    headers: dict[str, str] = field(default_factory=dict)
    applied: bool = False
    delay_seconds: float = 0.0
    passed_on: bool = False


@dataclass
class Request:
    """What came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class KfpStub:
    """State and answers of the stub; thread-safe."""

    def __init__(self, *, multi_user: bool = False, token: str | None = None, page_size: int = 2) -> None:
        self.multi_user, self.token, self.page_size = multi_user, token, page_size
        self.runs: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.schedules: dict[str, dict[str, Any]] = {}
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()
        self._numbers = itertools.count(1)
        self.url = ""
        # By how much the server's clock, and so the date of its answers, is ahead.
        self.clock_hours = 0.0

    # ---- what tests ask

    def sent(self, method: str, path: str) -> list[Request]:
        return [one for one in self.requests if one.method == method and re.fullmatch(path, one.path)]

    def set_state(self, name: str, state: str, message: str = "") -> None:
        with self.lock:
            for run in self.runs.values():
                if run["display_name"] == name:
                    run["state"] = state
                    run["error"] = {"code": 13, "message": message} if message else None

    def live_runs(self, name: str) -> list[dict[str, Any]]:
        """Runs of that name that were not stopped."""
        with self.lock:
            ended = ("CANCELED", "CANCELING")
            return [one for one in self.runs.values() if one["display_name"] == name and one["state"] not in ended]

    # ---- answers

    def answer(self, request: Request) -> tuple[int, Any]:
        if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"code": 16, "message": "Request header error: there is no user identity header"}
        for method, pattern, handler in self._routes():
            found = re.fullmatch(pattern, request.path)
            if found and request.method == method:
                with self.lock:
                    return handler(request, *found.groups())
        return self._complain(f"{request.method} {request.path} is no path of the API")

    def _routes(self) -> list[tuple[str, str, Callable[..., tuple[int, Any]]]]:
        one = "([^/:]+)"
        return [
            ("GET", f"{API}/healthz", lambda _: (200, {"multi_user": self.multi_user, "pipeline_store": "database"})),
            ("GET", "/apis/v1beta1/healthz", lambda _: (200, {"tag_name": "2.17.0", "commit_sha": "abc"})),
            ("GET", f"{API}/pipelines/names/{one}", self._pipeline_by_name),
            ("POST", f"{API}/pipelines", self._create_pipeline),
            ("GET", f"{API}/pipelines/{one}/versions", self._list_versions),
            ("POST", f"{API}/pipelines/upload_version", self._upload_version),
            ("GET", f"{API}/experiments", lambda r: self._list(r, self.experiments, "experiments")),
            ("POST", f"{API}/experiments", self._create_experiment),
            ("GET", f"{API}/runs", lambda r: self._list(r, self.runs, "runs")),
            ("POST", f"{API}/runs", self._create_run),
            ("GET", f"{API}/runs/{one}", lambda _, run_id: self._one(self.runs, run_id)),
            ("POST", f"{API}/runs/{one}:terminate", self._terminate),
            ("GET", f"{API}/recurringruns", lambda r: self._list(r, self.schedules, "recurringRuns")),
            ("POST", f"{API}/recurringruns", self._create_schedule),
            ("DELETE", f"{API}/recurringruns/{one}", self._delete_schedule),
        ]

    def _complain(self, sentence: str) -> tuple[int, Any]:
        self.complaints.append(sentence)
        return 400, {"code": 3, "message": sentence}

    def _one(self, store: dict[str, dict[str, Any]], key: str) -> tuple[int, Any]:
        return (200, store[key]) if key in store else (404, {"code": 5, "message": f"{key} not found"})

    def _id(self, kind: str) -> dict[str, str]:
        number = next(self._numbers)
        return {f"{kind}_id": f"{kind}-{number}", "created_at": f"2026-11-21T00:00:{number % 60:02d}.{number:06d}Z"}

    def _list(self, request: Request, store: dict[str, dict[str, Any]], key: str) -> tuple[int, Any]:
        unknown = set(request.query) - LIST_QUERY
        if unknown:
            return self._complain(f"listing {key} with {unknown}")
        if self.multi_user and key != "pipeline_versions" and not {"namespace", "experiment_id"} & set(request.query):
            return 400, {"code": 3, "message": "a namespace cannot be empty in multi-user mode"}
        found = list(store.values())
        if "experiment_id" in request.query:
            found = [one for one in found if one.get("experiment_id") == request.query["experiment_id"]]
        if "filter" in request.query:
            value = json.loads(request.query["filter"])
            self._check("filter", value)
            for predicate in value["predicates"]:
                if predicate["operation"] not in kfp_server_api.V2beta1PredicateOperation.allowable_values:
                    return self._complain(f"filter operation {predicate['operation']}")
                found = [one for one in found if one.get(predicate["key"]) == predicate["string_value"]]
        if request.query.get("sort_by", "") == "created_at desc":
            found.sort(key=lambda one: str(one["created_at"])[-8:], reverse=True)
        begin = int(request.query.get("page_token", "0"))
        end = begin + self.page_size
        page = {key: found[begin:end]} if found[begin:end] else {}
        return 200, {**page, "total_size": len(found), **({"next_page_token": str(end)} if end < len(found) else {})}

    def _pipeline_by_name(self, request: Request, name: str) -> tuple[int, Any]:
        found = [one for one in self.pipelines.values() if one["name"] == name]
        return (200, found[0]) if found else (404, {"code": 5, "message": f"pipeline {name} not found"})

    def _create_pipeline(self, request: Request) -> tuple[int, Any]:
        self._check("pipeline", request.body)
        if any(one["name"] == request.body["name"] for one in self.pipelines.values()):
            return 409, {"code": 6, "message": "Already exist error: the pipeline name is taken"}
        pipeline = {**request.body, **self._id("pipeline")}
        self.pipelines[pipeline["pipeline_id"]] = pipeline
        return 200, pipeline

    def _list_versions(self, request: Request, pipeline_id: str) -> tuple[int, Any]:
        mine = {key: one for key, one in self.versions.items() if one["pipeline_id"] == pipeline_id}
        return self._list(request, mine, "pipeline_versions")

    def _upload_version(self, request: Request) -> tuple[int, Any]:
        unknown = set(request.query) - {"name", "display_name", "pipelineid", "description", "tags"}
        if unknown or list(request.body) != ["uploadfile"]:
            return self._complain(f"upload of a version with {unknown} and {list(request.body)}")
        if not any("pipelineInfo" in document for document in yaml.safe_load_all(request.body["uploadfile"])):
            return self._complain("upload of what is no pipeline")
        name, pipeline_id = request.query["name"], request.query["pipelineid"]
        if any((one["name"], one["pipeline_id"]) == (name, pipeline_id) for one in self.versions.values()):
            return 409, {"code": 6, "message": "Already exist error: the version name is taken"}
        version = {"pipeline_id": pipeline_id, "name": name, "display_name": name, **self._id("pipeline_version")}
        self.versions[version["pipeline_version_id"]] = version
        return 200, version

    def _create_experiment(self, request: Request) -> tuple[int, Any]:
        self._check("experiment", request.body)
        if any(one["display_name"] == request.body["display_name"] for one in self.experiments.values()):
            return 409, {"code": 6, "message": "Already exist error: the experiment name is taken"}
        experiment = {**request.body, **self._id("experiment")}
        self.experiments[experiment["experiment_id"]] = experiment
        return 200, experiment

    def _create_run(self, request: Request) -> tuple[int, Any]:
        body = request.body
        self._check("run", body)
        if body.get("experiment_id") not in self.experiments:
            return self._complain(f"a run in experiment {body.get('experiment_id')}")
        if ("pipeline_spec" in body) == ("pipeline_version_reference" in body):
            return self._complain("a run needs either a version or a pipeline of its own")
        reference = body.get("pipeline_version_reference", {})
        if reference and reference["pipeline_version_id"] not in self.versions:
            return self._complain(f"a run of version {reference}")
        run = {**body, **self._id("run"), "state": "PENDING", "finished_at": "1970-01-01T00:00:00Z"}
        self.runs[run["run_id"]] = run
        return 200, run

    def _terminate(self, request: Request, run_id: str) -> tuple[int, Any]:
        if run_id not in self.runs:
            return 404, {"code": 5, "message": "no such run"}
        self.runs[run_id]["state"] = "CANCELING"
        return 200, {}

    def _create_schedule(self, request: Request) -> tuple[int, Any]:
        self._check("recurring_run", request.body)
        if len(request.body["trigger"]["cron_schedule"]["cron"].split()) != 6 or not request.body.get("no_catchup"):
            return self._complain("a schedule needs six fields and no_catchup")
        schedule = {**request.body, **self._id("recurring_run"), "status": "ENABLED"}
        self.schedules[schedule["recurring_run_id"]] = schedule
        return 200, schedule

    def _delete_schedule(self, request: Request, key: str) -> tuple[int, Any]:
        return (200, {}) if self.schedules.pop(key, None) else (404, {"message": "no such schedule"})

    def _check(self, kind: str, value: dict[str, Any]) -> None:
        """Complain of every key that kfp's model of that object does not have, or has with another type."""
        model = MODELS[kind]
        types = {model.attribute_map[name]: spelled for name, spelled in model.openapi_types.items()}
        for key, inner in value.items():
            if key not in types:
                self.complaints.append(f"{kind} has no field {key!r}")
            elif types[key] in KINDS and not isinstance(inner, KINDS[types[key]]):
                self.complaints.append(f"{key} of {kind} is {type(inner).__name__}, expected {types[key]}")
            for item in inner if isinstance(inner, list) else [inner]:
                if key in MODELS and isinstance(item, dict):
                    self._check(key, item)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one packet
    stub: KfpStub

    def log_message(self, *_: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        now = time.time() if timestamp is None else timestamp
        return super().date_time_string(now + self.stub.clock_hours * 3600)  # type: ignore[arg-type]

    def _serve(self) -> None:
        request = self._read()
        fault = self._fault(request)
        time.sleep(fault.delay_seconds if fault else 0)
        if fault is None or fault.passed_on:
            status, value = self.stub.answer(request)
            self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
            return
        if fault.applied:
            self.stub.answer(request)
        if fault.status == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._send(fault.status, fault.body, fault.headers)

    def _fault(self, request: Request) -> Fault | None:
        with self.stub.lock:
            self.stub.requests.append(request)
            for fault in self.stub.faults:
                if fault.times > 0 and fault.method == request.method and re.fullmatch(fault.path, request.path):
                    fault.times -= 1
                    return fault
        return None

    def _read(self) -> Request:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {key.lower(): value for key, value in self.headers.items()}
        data = self.rfile.read(int(headers.get("content-length", 0)))
        kind = headers.get("content-type", "")
        if kind.startswith("multipart/"):
            return Request(self.command, parts.path, query, headers, _form(kind, data))
        return Request(self.command, parts.path, query, headers, json.loads(data) if data else None)

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # a client may have had enough
            self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - names that http.server asks for


def _form(kind: str, data: bytes) -> dict[str, bytes]:
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + data, policy=email.policy.HTTP)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in message.iter_parts()  # type: ignore[attr-defined]
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news; anything else fails the test that looks at `complaints`."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextlib.contextmanager
def serving(stub: KfpStub) -> Iterator[KfpStub]:
    """Serve on loopback while the block runs."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": stub}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    with serving(KfpStub(page_size=100)) as running:
        Path(sys.argv[1]).write_text(running.url)
        sys.stdin.read()
