"""The test inside the cluster, against servers that answer as an executor before a predictor does, and as broken ones do."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from belisha.components.serve.smoke import SERIES, Target, answers, is_scraped, main, shows_series, targets

Page = Callable[[str, bytes], tuple[int, bytes]]


@contextmanager
def server(page: Page) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, data = page(self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{found.server_address[1]}"
    finally:
        found.shutdown()
        found.server_close()


def predictor(path: str, body: bytes) -> tuple[int, bytes]:
    if path == "/prometheus":
        return 200, f'{SERIES}{{predictor_name="y-v7",code="200"}} 3\n'.encode()
    if path.startswith("/api/v1/query"):
        return 200, json.dumps({"data": {"result": [{"value": [0, "1"]}]}}).encode()
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(json.loads(body)["binData"]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (240, 320, 3)
    return 200, json.dumps({"model_version": "v7", "boxes": [{"x": 1}]}).encode()


def says(status: int, data: bytes) -> Page:
    return lambda _path, _body: (status, data)


def test_a_predictor_that_serves() -> None:
    with server(predictor) as url:
        target = Target("y-v7", url)
        checks = [answers(target), shows_series(target), is_scraped(url, "belisha", target, 0)]
    assert all(check.passed for check in checks)
    assert "model v7 with 1 boxes" in checks[0].sentence


@pytest.mark.parametrize(
    "page",
    [
        says(200, b'{"jsonData": {"boxes": "many"}}'),
        says(200, b"[]"),
        says(200, b"no JSON"),
        says(503, b'{"error": "loading"}'),
        says(200, json.dumps({"data": {"result": []}}).encode()),
        says(200, f'{SERIES}{{predictor_name="y-v6"}} 3\n'.encode()),
    ],
    ids=[
        "boxes that are none",
        "a list",
        "no JSON",
        "unavailable",
        "no series in Prometheus",
        "another predictor's series",
    ],
)
def test_a_predictor_that_does_not(page: Page) -> None:
    with server(page) as url:
        target = Target("y-v7", url)
        checks = [answers(target), shows_series(target), is_scraped(url, "belisha", target, 0)]
    assert not any(check.passed for check in checks)


def test_nobody_listens() -> None:
    with server(predictor) as url:
        pass
    check = answers(Target("y-v7", url))
    assert not check.passed
    assert "y-v7" in check.sentence


def test_targets_are_named_as_the_release_names_them() -> None:
    assert [it.url for it in targets("belisha", ["v7", "v8"], routed=False)] == [
        "http://belisha-y-v7:8000",
        "http://belisha-y-v8:8000",
    ]
    assert [it.url for it in targets("belisha", ["v7", "v8"], routed=True)] == ["http://belisha-r-v7-v8:8000"]


def test_exit_codes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with server(predictor) as url:
        assert main(["--deployment", "belisha", "--champion", "v7", "--address", url]) == 0
        assert main(["--deployment", "belisha", "--champion", "v9", "--address", url]) == 70
    assert "FAIL y-v9 does not show" in capsys.readouterr().out
    assert main(["--deployment", "belisha", "--storage", f"file://{tmp_path}"]) == 3, "nobody serves yet"
