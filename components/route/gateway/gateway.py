"""The gateway itself: its addresses, what it refuses, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from belisha.components.route.gateway import answers, page
from belisha.components.route.gateway.answers import Answer, RefusedError, json_bytes
from belisha.components.route.gateway.calls import Call, declared_bytes, read_call, request_id_of
from belisha.components.route.gateway.feedback import FEEDBACK_PATH, version_of
from belisha.components.route.gateway.fleet import Fleet, Upstream
from belisha.components.route.gateway.forwarding import Forwarder, PredictorFailedError, Served
from belisha.components.route.gateway.health import HealthChecker
from belisha.components.route.gateway.http_server import SentenceServer, response_of
from belisha.components.route.gateway.metrics import CONTENT_TYPE, NOBODY, GatewayMetrics, shares_of
from belisha.components.route.gateway.settings import GatewaySettings
from belisha.components.route.gateway.shadows import Shadows
from belisha.components.route.policy import Policy
from belisha.components.shared.errors import InputError

_log = logging.getLogger(__name__)
_SHED_RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture that the page offers: its name for people and its encoded bytes."""

    name: str
    data: bytes
    content_type: str = "image/jpeg"


class Gateway:
    """Answers HTTP on one address for the predictors of a fleet."""

    def __init__(
        self,
        fleet: Fleet,
        settings: GatewaySettings | None = None,
        *,
        policy: Callable[[], Policy] = Policy,
        samples: Sequence[Sample] = (),
        more_state: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """Wire it up without starting anything.

        Args:
            fleet: the predictors; whoever assembles the gateway tells it who serves.
            settings: address and bounds.
            policy: gives the rules that hold now.
            samples: pictures that the page offers.
            more_state: JSON values that the assembler adds to `/api/v1.0/state`.
        """
        self.fleet, self.settings, self.metrics = fleet, settings or GatewaySettings(), GatewayMetrics()
        self._policy, self._samples, self._more_state = policy, tuple(samples), more_state
        self._in_flight, self._bytes_in_flight, self._draining = 0, 0, False
        self._routes: dict[tuple[str, str], Callable[[web.BaseRequest], Awaitable[Answer]]] = {
            ("GET", "/"): self._page,
            ("GET", "/healthz"): self._healthz,
            ("GET", "/metrics"): self._metrics_text,
            ("GET", "/api/v1.0/state"): self._state,
            ("POST", "/api/v1.0/predictions"): self._predictions,
            ("POST", "/api/v1.0/compare"): self._compare,
            ("POST", FEEDBACK_PATH): self._feedback,
            ("POST", "/send-feedback"): self._feedback,
            **{("GET", f"/samples/{number}"): self._sample(one) for number, one in enumerate(self._samples)},
        }

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Listen, and yield the address `http://host:port`; drain at the end.

        Raises:
            InputError: the address is taken or not ours.
        """
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            health = HealthChecker(self.fleet, session, self.settings.health_interval_seconds)
            self._forwarder = Forwarder(self.fleet, self._policy, self.settings, self.metrics, session, health.suspect)
            self._shadows = Shadows(self._forwarder, self.metrics, self.settings.max_shadows)
            runner = self._runner()
            await runner.setup()
            site = web.TCPSite(runner, self.settings.host, self.settings.port)
            checking = asyncio.create_task(health.run())
            try:
                await self._listen(site)
                host, port = runner.addresses[0][:2]
                yield f"http://{host}:{port}"
                await self._drain(site)
            finally:
                checking.cancel()
                await self._shadows.stop()
                await runner.cleanup()

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._in_flight

    async def _listen(self, site: web.TCPSite) -> None:
        try:
            await site.start()
        except OSError as error:
            where = f"{self.settings.host}:{self.settings.port}"
            raise InputError(f"cannot listen on {where} ({os.strerror(error.errno or 0)}): give another port") from None

    def _runner(self) -> web.ServerRunner:
        server = SentenceServer(
            self._handle,
            max_body_bytes=self.settings.max_body_bytes,
            max_header_bytes=self.settings.max_header_bytes,
        )
        return web.ServerRunner(server, shutdown_timeout=1.0)

    async def _drain(self, site: web.TCPSite) -> None:
        """Accept nobody new, and finish what is under way within the settings' bound."""
        self._draining = True
        await site.stop()
        deadline = time.monotonic() + self.settings.drain_seconds
        while self._in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if self._in_flight:
            _log.warning("%d requests were not answered within the time to drain", self._in_flight)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._answer(request)
        response = response_of(answer)
        if self._draining:
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> Answer:
        handler = self._routes.get(("GET" if request.method == "HEAD" else request.method, request.path))
        if handler is not None:
            return await handler(request)
        request_id = request_id_of(request.headers)
        allowed = sorted(method for method, path in self._routes if path == request.path)
        if allowed:
            text = f"{request.method} is not for this address: use {' or '.join(allowed)}"
            return answers.sentence(405, text, request_id, {"Allow": ", ".join(allowed)})
        text = "there is nothing at this address: POST a picture to /api/v1.0/predictions, or open / in a browser"
        return answers.sentence(404, text, request_id)

    async def _predictions(self, request: web.BaseRequest) -> Answer:
        request_id = request_id_of(request.headers)
        try:
            with self._admitted(request):
                call = await self._read(request, request_id)
                begin = time.perf_counter()
                served = await self._forwarder.serve(call)
                return self._noted(served, call, time.perf_counter() - begin)
        except RefusedError as refusal:
            return self._refused(refusal, request_id)

    async def _compare(self, request: web.BaseRequest) -> Answer:
        """Every model's answer to one picture; none of them counts for the experiment."""
        request_id = request_id_of(request.headers)
        try:
            with self._admitted(request):
                call = await self._read(request, request_id)
                upstreams = sorted(self.fleet.upstreams, key=lambda one: one.target.role != "champion")
                if not upstreams:
                    raise RefusedError(503, "no model serves yet: try again soon", "failed", retry_after_seconds=2)
                found = await asyncio.gather(*(self._answer_of(upstream, call) for upstream in upstreams))
        except RefusedError as refusal:
            return self._refused(refusal, request_id)
        body = b'{"request_id": %s, "answers": [%s]}' % (json_bytes(request_id), b", ".join(found))
        return Answer(200, body, headers={answers.REQUEST_ID: request_id})

    async def _answer_of(self, upstream: Upstream, call: Call) -> bytes:
        """One model's part of a comparison, as JSON."""
        target = upstream.target
        facts: dict[str, Any] = {"role": target.role, "model_version": target.version}
        plain = Call(call.caller, call.body, {**call.headers, "Accept": answers.JSON_TYPE})
        begin = time.perf_counter()
        try:
            answer = await self._forwarder.attempt(upstream, plain, drawn=False)
        except PredictorFailedError as failure:
            facts |= {"status": 502, "error": f"{target.version} gave no answer ({failure.reason}): try again"}
            return json_bytes(facts)
        facts |= {"status": answer.status, "seconds": time.perf_counter() - begin}
        return b'%s, "answer": %s}' % (json_bytes(facts)[:-1], answer.body.strip() or b"null")

    async def _feedback(self, request: web.BaseRequest) -> Answer:
        """Pass feedback on to the model whose answer it is about, and to no other."""
        request_id = request_id_of(request.headers)
        try:
            with self._admitted(request):
                call = await self._read(request, request_id)
                version = version_of(request.headers, call.body)
                upstream = self.fleet.with_version(version)
                if upstream is None:
                    text = "the model that this feedback is about does not serve: it cannot be counted any more"
                    raise RefusedError(410, text, "client_error")
                answer = await self._forwarder.feedback(upstream, call)
        except PredictorFailedError as failure:
            text = f"the model took no feedback ({failure.reason}): try again soon"
            return self._refused(RefusedError(503, text, "failed", retry_after_seconds=2), request_id)
        except RefusedError as refusal:
            return self._refused(refusal, request_id)
        return Answer(answer.status, answer.body, answer.content_type, {answers.REQUEST_ID: request_id})

    async def _read(self, request: web.BaseRequest, request_id: str) -> Call:
        bounds = self.settings
        return await read_call(
            request, request_id, max_body_bytes=bounds.max_body_bytes, seconds=bounds.receive_seconds
        )

    @contextlib.contextmanager
    def _admitted(self, request: web.BaseRequest) -> Iterator[None]:
        """Count a request in and out; raises RefusedError when too much is under way."""
        size = declared_bytes(request, self.settings.max_body_bytes)
        if self._in_flight >= self.settings.max_in_flight:
            raise self._shed("requests", f"{self._in_flight} requests are under way")
        if self._bytes_in_flight + size > self.settings.max_bytes_in_flight:
            raise self._shed("bytes", f"{self._bytes_in_flight} bytes of pictures are under way")
        self._in_flight += 1
        self._bytes_in_flight += size
        try:
            yield
        finally:
            self._in_flight -= 1
            self._bytes_in_flight -= size

    def _shed(self, reason: str, text: str) -> RefusedError:
        self.metrics.shed.labels(reason).inc()
        return RefusedError(503, f"{text}: try again soon", "shed", retry_after_seconds=_SHED_RETRY_SECONDS)

    def _noted(self, served: Served, call: Call, seconds: float) -> Answer:
        """Count an answer, send its shadow on its way, and complete its headers."""
        target, answer = served.upstream.target, served.answer
        outcome = "answered" if answer.status < 400 else "client_error"
        self.metrics.requests.labels(target.version, target.role, outcome).inc()
        self.metrics.seconds.labels(target.version, target.role, "total").observe(seconds)
        if served.drawn:
            served.upstream.drawn += 1
            self.metrics.drawn.labels(target.version, target.role).inc()
        shadow = self.fleet.with_version(served.shadow.version) if served.shadow else None
        if shadow is not None and shadow is not served.upstream and outcome == "answered":
            self._shadows.send(shadow, call)
        headers = {
            answers.REQUEST_ID: call.caller.request_id,
            answers.ROLE: target.role,
            answers.MODEL_VERSION: target.version,
            answers.DRAWN: str(int(served.drawn)),
        }
        return Answer(answer.status, answer.body, answer.content_type, headers)

    def _refused(self, refusal: RefusedError, request_id: str) -> Answer:
        self.metrics.requests.labels(NOBODY, NOBODY, refusal.outcome).inc()
        answer = refusal.answer(request_id)
        return Answer(answer.status, answer.body, headers={**answer.headers, answers.REQUEST_ID: request_id})

    async def _page(self, _: web.BaseRequest) -> Answer:
        return Answer(200, page.HTML, "text/html; charset=utf-8", page.HEADERS)

    async def _healthz(self, _: web.BaseRequest) -> Answer:
        healthy = any(one.healthy for one in self.fleet.upstreams)
        text = "serving" if healthy else "no predictor is healthy"
        return Answer(200 if healthy and not self._draining else 503, json_bytes({"status": text}))

    async def _metrics_text(self, _: web.BaseRequest) -> Answer:
        return Answer(200, self.metrics.render(self.fleet, self._in_flight), CONTENT_TYPE)

    async def _state(self, _: web.BaseRequest) -> Answer:
        models = [
            {"version": version, "role": role, "healthy": healthy, "traffic_ratio": asked, "realised_ratio": realised}
            for version, role, healthy, asked, realised in shares_of(self.fleet)
        ]
        for model, upstream in zip(models, self.fleet.upstreams, strict=True):
            model |= {"in_flight": upstream.in_flight, "answers": upstream.answers, "drawn": upstream.drawn}
        samples = [{"name": one.name, "path": f"/samples/{number}"} for number, one in enumerate(self._samples)]
        own = {"models": models, "in_flight": self._in_flight, "draining": self._draining, "samples": samples}
        return Answer(200, json_bytes({**own, **self._more_state()}), headers={"Cache-Control": "no-store"})

    def _sample(self, sample: Sample) -> Callable[[web.BaseRequest], Awaitable[Answer]]:
        async def show(_: web.BaseRequest) -> Answer:
            return Answer(200, sample.data, sample.content_type)

        return show
