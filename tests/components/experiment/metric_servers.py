"""A gateway's and a Prometheus' HTTP as a real server on loopback that says what a test wants."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, bytes]


@dataclass
class FakeGateway:
    """Counters of a gateway that has served v2, and of v2's shadow answers."""

    answered: int = 0
    failed: int = 0
    shadow_ok: int = 0
    shadow_errors: int = 0
    url: str = ""

    def __call__(self, path: str) -> Answer:
        if path == "/metrics":
            return 200, self.page().encode()
        if path == "/api/v1.0/state":
            predictors = [
                {"version": "v2", "metrics_url": f"{self.url}/predictor"},
                {"version": "v1", "metrics_url": ""},
            ]
            return 200, json.dumps({"predictors": predictors}).encode()
        if path == "/predictor":
            rows = [("ok", self.shadow_ok), ("error", self.shadow_errors), ("bad_request", 99)]
            lines = [
                f'belisha_requests_total{{model_version="v2",outcome="{name}",shadow="true"}} {count}'
                for name, count in rows
            ]
            return 200, ("# TYPE belisha_requests_total counter\n" + "\n".join(lines) + "\n").encode()
        return 404, b""

    def page(self) -> str:
        return "\n".join(
            [
                "# TYPE belisha_gateway_requests_total counter",
                f'belisha_gateway_requests_total{{model_version="v2",role="challenger",outcome="answered"}} {self.answered}',
                'belisha_gateway_requests_total{model_version="v1",role="champion",outcome="answered"} 500',
                "# TYPE belisha_gateway_failures_total counter",
                f'belisha_gateway_failures_total{{model_version="v2",role="challenger",reason="status"}} {self.failed}',
                'belisha_gateway_failures_total{model_version="v1",role="champion",reason="status"} 400',
                "",
            ]
        )


@dataclass
class FakePrometheus:
    """Answers instant queries by the first key that the query contains; remembers the queries."""

    answers: dict[str, Any] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    url: str = ""

    def __call__(self, path: str) -> Answer:
        parts = urllib.parse.urlsplit(path)
        if parts.path != "/api/v1/query":
            return 404, b"{}"
        query = urllib.parse.parse_qs(parts.query)["query"][0]
        self.queries.append(query)
        found = next((value for key, value in self.answers.items() if key in query), [])
        if isinstance(found, tuple):
            return found
        result = [{"metric": labels, "value": [1.0, str(value)]} for labels, value in found]
        return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


@contextlib.contextmanager
def running(served: Any) -> Iterator[str]:
    """Serve it on a free port; yields its address, or nothing for None."""
    if served is None:
        yield ""
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(served))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(answer: Callable[[str], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    return Handler
