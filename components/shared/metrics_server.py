"""One small HTTP server for one page of metrics, in a process of its own, so that a scrape never waits for a picture."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

from belisha.components.shared.errors import InputError

DEFAULT_METRICS_PORT = 6001
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PATHS = ("/metrics", "/prometheus")
_PARENT_CHECK_SECONDS = 1.0
_REMOVAL_TRIES, _REMOVAL_PAUSE_SECONDS = 20, 0.5

_log = logging.getLogger(__name__)


def metrics_address(environment: Mapping[str, str] = os.environ) -> tuple[str, int]:
    """Where to listen: BELISHA_LISTEN_HOST (every interface when unset, as a pod needs it) and BELISHA_METRICS_PORT (6001).

    Raises:
        InputError: the port is no number.
    """
    text = environment.get("BELISHA_METRICS_PORT") or str(DEFAULT_METRICS_PORT)
    if not text.isdecimal():
        raise InputError(f"BELISHA_METRICS_PORT is {text!r}, expected a port: correct the environment")
    return environment.get("BELISHA_LISTEN_HOST") or "0.0.0.0", int(text)


def serve_metrics(exposition: Callable[[], bytes], host: str, port: int, temporary_folder: Path | None = None) -> None:
    """Answer GET /metrics (and /prometheus, the path Seldon's annotation names) until the parent process is gone.

    Args:
        exposition: makes the page.
        host: address to listen on.
        port: to listen on.
        temporary_folder: removed at the end, for a killed parent cannot.
    """
    server = metrics_http_server(exposition, host, port)
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent, server), daemon=True).start()
    # Ctrl-C reaches the whole group: the workers that still drain count on until the parent ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.suppress(SystemExit):
        server.serve_forever(poll_interval=0.2)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not end the clearing up half-way
    server.server_close()
    # Whoever asks to go, or is gone, counts no more. Asking whether the parent is gone would be wrong here: when one of its
    # threads dies first, the kernel tells its death while the others still hold its place.
    if temporary_folder is not None:
        _remove(temporary_folder)


def _remove(folder: Path) -> None:
    """Remove a folder into which processes that die just now may still write."""
    for _ in range(_REMOVAL_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_REMOVAL_PAUSE_SECONDS)


def metrics_http_server(exposition: Callable[[], bytes], host: str, port: int) -> ThreadingHTTPServer:
    """A server of the page that listens already and is to be run; raises OSError when the address cannot be had."""
    server = ThreadingHTTPServer((host, port), _handler(exposition))
    server.daemon_threads = True
    return server


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _end_with(parent: int, server: ThreadingHTTPServer) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    server.shutdown()


def _handler(exposition: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            status, kind, body = _answer(self.path, exposition)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """A scrape is not worth a line."""

    return Handler


def _answer(path: str, exposition: Callable[[], bytes]) -> tuple[int, str, bytes]:
    if path.partition("?")[0] not in _PATHS:
        return 404, "text/plain", b"metrics are at /metrics\n"
    try:
        return 200, CONTENT_TYPE, exposition()
    except Exception as error:  # noqa: BLE001 - the next scrape may go well
        _log.warning("metrics could not be read: %s", error)
        return 500, "text/plain", b"the metrics could not be read: see this process's log\n"
