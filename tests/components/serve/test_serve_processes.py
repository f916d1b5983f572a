"""A predictor's processes: what they refuse to serve, what they write and count, and how they end."""

from __future__ import annotations

import concurrent.futures
import json
import shutil
import signal
import socket
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from belisha.components.serve.payload import checked_facts
from belisha.components.serve.refusals import RefusalError
from belisha.components.serve.service import PictureService, ServiceSettings
from belisha.components.shared.golden import GOLDEN_FILE
from belisha.components.shared.model_artifact import (
    GOLDEN_FOLDER,
    MODEL_FILE,
    ONNX_FILE,
    read_model_info,
    write_model_info,
)
from belisha.components.shared.request_log import read_log
from belisha.components.shared.storage import open_store
from tests.components.serve.conftest import BOX, PICTURE, write_served_model
from tests.components.serve.serving import PREDICT, Predictor, predictor, read_reply


def break_golden(folder: Path) -> None:
    path = folder / GOLDEN_FOLDER / GOLDEN_FILE
    path.write_text(path.read_text().replace("32.0,", "42.0,", 1))
    write_model_info(folder, read_info_without_check(folder))


def read_info_without_check(folder: Path) -> object:
    shutil.rmtree(folder / "aside", ignore_errors=True)
    write_served_model(folder / "aside")
    info = read_model_info(folder / "aside")
    shutil.rmtree(folder / "aside")
    return info


def break_model(folder: Path) -> None:
    path = folder / ONNX_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"x")


BROKEN = {
    "golden boxes differ": (break_golden, "golden pictures"),
    "model was exchanged": (break_model, "digest"),
    "description is missing": (lambda folder: (folder / MODEL_FILE).unlink(), MODEL_FILE),
    "golden pictures are missing": (lambda folder: shutil.rmtree(folder / GOLDEN_FOLDER), "missing"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_model_that_does_not_prove_itself_is_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    spoil, word = BROKEN[case]
    write_served_model(tmp_path / "model")
    spoil(tmp_path / "model")
    service = PictureService(ServiceSettings(tmp_path / "model", "v1", runtime="onnxruntime"))
    service.load()
    with pytest.raises(RefusalError, match=word) as refusal:
        service.answer(PICTURE, checked_facts(), 0.0)
    assert refusal.value.status == 503


def test_a_predictor_without_a_proven_model_answers_503(tmp_path: Path) -> None:
    write_served_model(tmp_path / "model")
    break_golden(tmp_path / "model")
    with predictor(tmp_path / "model", tmp_path / "log", "--runtime", "onnxruntime") as running:
        health = running.wait_ready()
        assert health.status == 503
        assert "golden pictures" in health.json["error"]
        refused = running.post(PICTURE)
        assert (refused.status, refused.json["error"]) == (503, health.json["error"])
        assert refused.headers["Retry-After"]
        page = urllib.request.urlopen(f"http://127.0.0.1:{running.metrics_port}/metrics").read().decode()
        loads = [line for line in page.splitlines() if line.startswith("belisha_model_load{") and line.endswith(" 1.0")]
        assert len(loads) == 1
        assert 'result="golden_mismatch"' in loads[0]


def test_seldons_own_way_to_hand_over_parameters(tmp_path: Path, served_model: Path) -> None:
    parameters = [
        {"name": "model_dir", "value": str(served_model), "type": "STRING"},
        {"name": "model_version", "value": "from-seldon", "type": "STRING"},
        {"name": "max_pixels", "value": "9000", "type": "INT"},
    ]
    with predictor(
        tmp_path, tmp_path / "log", environment={"PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters)}
    ) as running:
        assert running.wait_ready().json["model_version"] == "from-seldon"
        assert running.post(PICTURE).status == 413


def test_sigterm_ends_everything_after_the_requests_in_flight(tmp_path: Path, served_model: Path) -> None:
    with predictor(served_model, tmp_path / "log", environment={"GRPC_WORKERS": "1"}) as running:
        running.wait_ready()
        family = running.family()
        # A request that is half sent when the signal comes must still be answered.
        slow = socket.create_connection(("127.0.0.1", running.port))
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(PICTURE)}\r\n\r\n".encode()
        slow.sendall(head + PICTURE[:100])
        time.sleep(0.5)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        slow.sendall(PICTURE[100:])
        answer = slow.recv(65_536)
        slow.close()
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert running.process.wait(40) == 0, running.log.read_text()
        assert not psutil.wait_procs(family, timeout=5)[1]


def test_slow_clients_do_not_hold_the_threads(tmp_path: Path, served_model: Path) -> None:
    settings = {"GUNICORN_THREADS": "2", "BELISHA_READ_SECONDS": "1"}
    with predictor(served_model, tmp_path / "log", environment=settings) as running:
        running.wait_ready()
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n".encode()
        clients = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(6)]
        for number, client in enumerate(clients):
            client.sendall(head + b"abc" if number % 2 else b"POST /api")
        assert running.post(PICTURE).json["boxes"] == [BOX]
        for client in clients:
            client.close()


def test_answers_are_counted_logged_and_served_to_prometheus(tmp_path: Path, served_model: Path) -> None:
    begin = datetime.now(UTC)
    storage = str(tmp_path / "storage")
    with predictor(served_model, tmp_path / "log", "--model-version", "v9", "--storage-uri", storage) as running:
        running.wait_ready()
        for number in range(12):
            headers = {"X-Request-ID": f"r{number}", "X-Belisha-Camera": "door", "X-Belisha-Drawn": str(number % 2)}
            assert running.post(PICTURE, headers=headers).status == 200
        assert running.post(b"no picture").status == 400
        assert running.post(b"{").status == 400
        with urllib.request.urlopen(f"http://127.0.0.1:{running.metrics_port}/metrics") as page:
            text = page.read().decode()
    counted = {outcome: _total(text, f'outcome="{outcome}"') for outcome in ("ok", "bad_request", "bad_picture")}
    assert counted == {"ok": 12, "bad_request": 1, "bad_picture": 1}
    assert 'model_version="v9"' in text
    tables = list(read_log(open_store(storage), begin, datetime.now(UTC)))
    rows = [row for table in tables for row in table.to_pylist()]
    assert {row["request_id"] for row in rows} == {f"r{number}" for number in range(12)}
    assert {row["camera"] for row in rows} == {"door"}
    assert sum(row["drawn"] for row in rows) == 6
    assert all(row["boxes_xywh_px"] == [32, 32, 16, 32] for row in rows)


def _total(text: str, label: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith("belisha_requests_total{") and label in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_a_worker_in_the_place_of_a_dead_one_makes_callers_wait_and_refuses_none(
    tmp_path: Path, served_model: Path
) -> None:
    """As after the kernel has ended the largest process for want of memory."""
    with predictor(served_model, tmp_path / "log") as running:
        assert running.wait_ready().status == 200
        master = psutil.Process(running.process.pid)
        worker = max(master.children(), key=lambda child: child.memory_info().rss)
        worker.kill()
        worker.wait(10)
        for _ in range(5):
            assert running.post(PICTURE).json["boxes"] == [BOX]
        assert max(master.children(), key=lambda child: child.memory_info().rss).pid != worker.pid


def test_nothing_outlives_a_killed_launcher(tmp_path: Path, served_model: Path) -> None:
    with predictor(served_model, tmp_path / "log", environment={"GRPC_WORKERS": "1"}) as running:
        assert running.wait_ready().status == 200
        children = running.family()[1:]
        assert len(children) >= 5, "a REST worker, gRPC and its worker, two metrics servers"
        running.process.kill()
        _, left = psutil.wait_procs(children, timeout=40)
        assert not left


def test_busy_connections_share_the_threads(tmp_path: Path, served_model: Path) -> None:
    """A thread goes on with a connection whose next request is there already, but not while others wait."""

    def ask(running: Predictor) -> list[int]:
        connection, statuses = running.connect(), []
        for _ in range(30):
            connection.request("POST", PREDICT, PICTURE)
            statuses.append(read_reply(connection).status)
        return statuses

    with predictor(served_model, tmp_path / "log", environment={"GUNICORN_THREADS": "2"}) as running:
        assert running.wait_ready().status == 200
        with concurrent.futures.ThreadPoolExecutor(6) as clients:
            results = [clients.submit(ask, running) for _ in range(6)]
            assert [one.result(timeout=60) for one in results] == [[200] * 30] * 6
