"""Gunicorn as a predictor needs it: bounded in time and headers, errors as JSON, and one address to listen on."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker
from seldon_core.gunicorn_utils import StandaloneApplication, UserModelApplication

# A client has this long to deliver a request; a thread that waits for a slow one serves nobody else.
READ_SECONDS = "BELISHA_READ_SECONDS"
_READ_SECONDS = 20.0
_DRAIN_SECONDS, _MOST_DRAINED_PIECES = 0.5, 16
GRACEFUL_SECONDS = 30
_LOOK_SECONDS, _READ_BYTES = 0.05, 65_536
_NEAR_MILLISECONDS = 5
_MOST_HEADERS, _MOST_HEADER_BYTES, _MOST_REQUEST_LINE_BYTES = 64, 8190, 4094


class BoundedThreadWorker(ThreadWorker):  # type: ignore[misc]
    """Gunicorn's threaded worker, which by itself waits for a slow client forever and answers bad headers in HTML."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_seconds = float(os.environ.get(READ_SECONDS, _READ_SECONDS))
        self._deadlines: dict[socket.socket, float] = {}
        self._deadlines_lock = threading.Lock()
        self._queued = 0

    def run(self) -> None:
        """Serve; one that takes the place of a dead worker lets callers wait for its model, where they would be refused."""
        while self.alive and self.app.user_object.makes_callers_wait and self.is_parent_alive():
            self.notify()
            time.sleep(_LOOK_SECONDS)
        super().run()

    def enqueue_req(self, conn: Any) -> None:
        """Take a connection's next request; a picture is read in a few large pieces instead of many of 8 kB."""
        conn.init()
        conn.parser.unreader.mxchunk = _READ_BYTES
        with self._deadlines_lock:
            self._queued += 1
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Serve a connection's request, and at once those that follow it closely, without the main loop between them."""
        with self._deadlines_lock:
            self._queued -= 1
        while True:
            keepalive, conn = self._handle_one(conn)
            if not (keepalive and self.alive and self._next_is_near(conn)):
                return keepalive, conn

    def _handle_one(self, conn: Any) -> Any:
        """Serve one request; what it has not sent by the deadline counts as not sent."""
        with self._deadlines_lock:
            self._deadlines[conn.sock] = time.monotonic() + self._read_seconds
        try:
            return super().handle(conn)
        finally:
            with self._deadlines_lock:
                self._deadlines.pop(conn.sock, None)

    def _next_is_near(self, conn: Any) -> bool:
        """Whether the connection's next request comes within a moment; no waiting while others wait for a thread."""
        if self._queued:
            return False
        ready = select.poll()
        ready.register(conn.sock, select.POLLIN)
        return bool(ready.poll(_NEAR_MILLISECONDS)) and not self._queued

    def murder_keepalived(self) -> None:
        """Called by the main loop about once a second: end idle connections, and the reading of slow ones."""
        super().murder_keepalived()
        now = time.monotonic()
        with self._deadlines_lock:
            overdue = [sock for sock, deadline in self._deadlines.items() if deadline < now]
            for sock in overdue:
                del self._deadlines[sock]
                # The answer to a request that was read in time can still be written.
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RD)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer a request that never reached the application."""
        del req
        self.log.debug("refused a request of %s: %s", addr, type(exc).__name__)
        status, sentence = _verdict(exc)
        if status.startswith("5"):
            self.log.error("a request failed", exc_info=exc)
        with contextlib.suppress(OSError):
            client.sendall(_raw_response(status, sentence))
            _drain(client)


def _verdict(exc: BaseException) -> tuple[str, str]:
    from gunicorn.http import errors

    if isinstance(exc, errors.LimitRequestHeaders):
        return "431 Request Header Fields Too Large", "the headers are larger than allowed: send fewer or shorter ones"
    if isinstance(exc, errors.LimitRequestLine):
        return "414 URI Too Long", "the path is longer than allowed: POST pictures to /api/v1.0/predictions"
    if isinstance(exc, errors.ParseException):
        return "400 Bad Request", "the request is not valid HTTP: POST a picture to /api/v1.0/predictions"
    return "500 Internal Server Error", "the request failed: the predictor's log says where"


def _drain(client: socket.socket) -> None:
    """Take what the client still sends: closing before would reset the connection and lose the answer on its way."""
    client.shutdown(socket.SHUT_WR)
    client.settimeout(_DRAIN_SECONDS)
    for _ in range(_MOST_DRAINED_PIECES):
        if not client.recv(65_536):
            return


def _raw_response(status: str, sentence: str) -> bytes:
    body = json.dumps({"error": sentence, "request_id": ""}).encode()
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


class RestApplication(UserModelApplication):  # type: ignore[misc]
    """The predictor's application."""

    host = ""

    def load_config(self) -> None:
        """The wrapper's settings, then ours."""
        super().load_config()
        _bind(self.cfg, self.host)
        settings: dict[str, Any] = {
            "graceful_timeout": GRACEFUL_SECONDS,
            "limit_request_fields": _MOST_HEADERS,
            "limit_request_field_size": _MOST_HEADER_BYTES,
            "limit_request_line": _MOST_REQUEST_LINE_BYTES,
            "worker_exit": partial(_leave, self.cfg.worker_exit, self.user_object.close),
        }
        if self.cfg.threads > 1:
            settings["worker_class"] = f"{__name__}.{BoundedThreadWorker.__name__}"
        for name, value in settings.items():
            self.cfg.set(name, value)


class MetricsApplication(StandaloneApplication):  # type: ignore[misc]
    """The wrapper's own metrics."""

    host = ""

    def load_config(self) -> None:
        """The wrapper's settings, then ours."""
        super().load_config()
        _bind(self.cfg, self.host)


def _bind(cfg: Any, host: str) -> None:
    if host:
        cfg.set("bind", [f"{host}:{address.rpartition(':')[2]}" for address in cfg.bind])


def _leave(theirs: Callable[[Any, Any], None], close: Callable[[], None], server: Any, worker: Any) -> None:
    close()
    theirs(server, worker)
