"""An aiohttp server whose own refusals (unreadable requests, huge headers) are sentences in JSON too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from belisha.components.route.gateway.answers import Answer, sentence
from belisha.components.route.gateway.calls import request_id_of

_log = logging.getLogger(__name__)
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class SentenceServer(web.Server):  # type: ignore[type-arg,misc,unused-ignore]
    """A server for one handler with bounds on bodies and headers."""

    def __init__(self, handler: Handler, *, max_body_bytes: int, max_header_bytes: int) -> None:
        def make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
            loop = asyncio.get_running_loop()
            return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=max_body_bytes)

        super().__init__(handler, request_factory=make_request)
        self._handler_settings: dict[str, Any] = {
            "max_line_size": max_header_bytes, "max_field_size": max_header_bytes, "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": 75.0,
        }  # fmt: skip

    def __call__(self) -> RequestHandler:  # type: ignore[type-arg,unused-ignore]
        """A handler for a new connection."""
        return _SentenceHandler(self, loop=asyncio.get_running_loop(), **self._handler_settings)


class _SentenceHandler(RequestHandler):  # type: ignore[type-arg,misc,unused-ignore]
    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """One sentence for what aiohttp itself refuses, or for a mistake of ours, which goes to the log."""
        if status >= 500:
            _log.error("a request failed unexpectedly", exc_info=exc)
            answer = sentence(
                500, "the gateway failed on this request: look at its log", request_id_of(request.headers)
            )
        elif isinstance(exc, LineTooLong) or "too long" in (message or "").lower():
            answer = sentence(431, "a header or the address is too long: shorten it", request_id_of({}))
        else:
            answer = sentence(400, "this is not a readable HTTP request: correct it", request_id_of({}))
        response = response_of(answer)
        response.force_close()
        return response


def response_of(answer: Answer) -> web.Response:
    """An answer as an aiohttp response."""
    headers = {"Content-Type": answer.content_type, "X-Content-Type-Options": "nosniff", **answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)
