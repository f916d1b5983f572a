"""The images' health check, run as Docker runs it: a process of its own that asks a real server."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

HEALTH = Path(__file__).parents[2] / "docker/health.py"


class Answers(BaseHTTPRequestHandler):
    """Well under /health/ping, unwell under /health/status, and silent under /hangs-up."""

    def do_GET(self) -> None:
        if self.path == "/hangs-up":
            self.close_connection = True
            return
        self.send_response({"/health/ping": 200, "/health/status": 503}.get(self.path, 404))
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def health(path: str, port: str, **environment: str) -> int:
    variables = {"PREDICTIVE_UNIT_HTTP_SERVICE_PORT": port, **environment}
    return subprocess.run([sys.executable, HEALTH, path], env=variables, check=False).returncode


@pytest.mark.parametrize(
    ("path", "code"), [("/health/ping", 0), ("/health/status", 1), ("/other", 1), ("/hangs-up", 1)]
)
def test_only_success_is_well(port: int, path: str, code: int) -> None:
    assert health(path, str(port)) == code


def test_a_server_that_is_gone_is_not_well(port: int) -> None:
    assert health("/health/ping", "1") == 1
    assert health("/health/ping", "no port") == 1


def test_it_asks_where_the_server_listens(port: int) -> None:
    assert health("/health/ping", str(port), BELISHA_LISTEN_HOST="127.0.0.1") == 0
    assert health("/health/ping", str(port), BELISHA_LISTEN_HOST="127.0.0.2") == 1


def test_no_proxy_is_asked(port: int) -> None:
    assert health("/health/ping", str(port), http_proxy="http://127.0.0.1:1") == 0
