"""Our own small server of the stack: page, plots, the ledger's metrics, Prometheus' targets, runbooks and notifications."""

from __future__ import annotations

import asyncio
import html
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from belisha.components.shared.metrics_server import CONTENT_TYPE
from belisha.monitoring.local.configuration import FOLDER, Addresses
from belisha.monitoring.local.plots import plots

_KEPT_NOTIFICATIONS = 200
_STATE_SECONDS = 5.0
_QUERY_SECONDS = 30.0
_RUNBOOK = re.compile(r"Belisha[A-Za-z]{1,60}")
# What the page asks Prometheus; nothing else is passed on, and nothing that changes anything.
_PASSED_ON = ("query", "query_range", "alerts")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class MonitorServer:
    """Answers on the page's address.

    Attributes:
        addresses: of all parts.
        ledger_page: makes the ledger's metrics.
        scrape_seconds: between two scrapes.
        notifications: what Alertmanager has told, the newest last.
    """

    addresses: Addresses
    ledger_page: Callable[[], bytes]
    scrape_seconds: float
    notifications: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_KEPT_NOTIFICATIONS))
    _session: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=4 * 1024**2)
        app.cleanup_ctx.append(self._with_session)
        app.router.add_get("/", self._page)
        app.router.add_get("/d/{uid}", self._page)
        app.router.add_get("/plots", self._plots)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/targets", self._targets)
        app.router.add_get("/runbooks/{name}", self._runbook)
        app.router.add_get("/notifications", self._told)
        app.router.add_post("/notifications/{receiver}", self._note)
        for name in _PASSED_ON:
            app.router.add_get(f"/api/v1/{name}", self._passed_on)
        return app

    async def _with_session(self, _: web.Application) -> Any:
        async with aiohttp.ClientSession() as self._session:
            yield

    @property
    def session(self) -> aiohttp.ClientSession:
        """To the other parts, while the application runs."""
        assert self._session is not None, "the application does not run"
        return self._session

    async def _page(self, _: web.Request) -> web.Response:
        text = (FOLDER / "local/page.html").read_text(encoding="utf-8")
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    async def _plots(self, _: web.Request) -> web.Response:
        return web.json_response({"scrape_seconds": self.scrape_seconds, "dashboards": plots(self.scrape_seconds)})

    async def _metrics(self, _: web.Request) -> web.Response:
        body = await asyncio.to_thread(self.ledger_page)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _targets(self, _: web.Request) -> web.Response:
        """The predictors of this moment, for Prometheus' HTTP service discovery; an error keeps those it knows."""
        try:
            timeout = aiohttp.ClientTimeout(total=_STATE_SECONDS)
            async with self.session.get(f"{self.addresses.gateway}/api/v1.0/state", timeout=timeout) as response:
                state = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return web.json_response(
                {"error": f"{self.addresses.gateway} does not answer: start `belisha serve`"}, status=503
            )
        return web.json_response(
            [
                {"targets": [url.removeprefix("http://").removesuffix("/metrics")]}
                for url in (one["metrics_url"] for one in state.get("predictors", []))
                if url
            ]
        )

    async def _passed_on(self, request: web.Request) -> web.Response:
        try:
            timeout = aiohttp.ClientTimeout(total=_QUERY_SECONDS)
            url = self.addresses.prometheus + request.path
            async with self.session.get(url, params=request.query, timeout=timeout) as response:
                body = await response.read()
                return web.Response(body=body, status=response.status, content_type="application/json")
        except (aiohttp.ClientError, TimeoutError):
            return web.json_response({"status": "error", "error": "Prometheus does not answer"}, status=503)

    async def _runbook(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        path = FOLDER / "runbooks" / f"{name}.md"
        if not _RUNBOOK.fullmatch(name) or not path.is_file():
            return web.Response(text="there is no runbook of that name\n", status=404)
        body = html.escape(path.read_text(encoding="utf-8"))
        page = f'<!doctype html><meta charset="utf-8"><title>{name}</title>'
        page += f'<pre style="white-space:pre-wrap;max-width:60rem;font:16px/1.5 system-ui;margin:2rem">{body}</pre>'
        return web.Response(text=page, content_type="text/html", headers=_HEADERS)

    async def _note(self, request: web.Request) -> web.Response:
        told = await request.json()
        for alert in told.get("alerts", []):
            self.notifications.append({"receiver": request.match_info["receiver"], **alert})
        return web.Response(status=204)

    async def _told(self, _: web.Request) -> web.Response:
        return web.json_response(list(self.notifications))
