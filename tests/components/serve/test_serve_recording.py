"""A real predictor leaves every answer in the log, and the pictures that were drawn for review in the store."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from belisha.components.serve.recording import settings_from_environment
from belisha.components.shared.errors import InputError
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.request_log import read_log
from belisha.components.shared.review_samples import Reason, read_samples
from belisha.components.shared.storage import open_store
from tests.components.serve.conftest import bright_cell, png
from tests.components.serve.serving import Predictor, predictor
from tests.components.serve.test_serve_metrics import get, listeners, samples_of

PICTURES = [
    png(bright_cell(column, row, value)) for column in range(2) for row in range(2) for value in (120, 200, 255)
]


def logged(storage: Path) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    tables = read_log(open_store(str(storage)), now - timedelta(hours=1), now + timedelta(hours=1))
    return [row for table in tables for row in table.to_pylist()]


def ask(running: Predictor, threads: int, each: int) -> dict[str, tuple[bytes, Any]]:
    """Answered requests by id: the picture that was sent and the answer."""
    answered: dict[str, tuple[bytes, Any]] = {}

    def work(number: int) -> None:
        for index in range(each):
            picture = PICTURES[(number + index) % len(PICTURES)]
            name = f"r-{number}-{index}"
            headers = {
                "X-Request-ID": name,
                "X-Belisha-Camera": f"camera-{number}",
                "X-Belisha-Role": "challenger",
                "X-Belisha-Shadow": str(index % 2),
                "X-Belisha-Drawn": str(1 - index % 2),
            }
            reply = running.post(picture, headers=headers)
            if reply.status == 200:
                answered[name] = (picture, reply.json)

    running_threads = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running_threads:
        thread.start()
    for thread in running_threads:
        thread.join()
    return answered


def wait_for(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


def test_sigterm_flushes_and_every_answer_is_in_the_log(served_model: Path, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    arguments = ("--model-version", "v9", "--storage-uri", str(storage))
    environment = {"GUNICORN_WORKERS": "2"}
    with predictor(served_model, tmp_path / "log", *arguments, environment=environment) as running:
        assert running.wait_ready().status == 200
        answered = ask(running, threads=4, each=30)
        assert len(answered) > 30
        page = get(running.metrics_port, "/metrics")[1]
        assert sum(samples_of(page, "belisha_request_log_dropped_total").values()) == 0
        assert logged(storage) == [], "the shard is still open: closing must write it"
    rows = {row["request_id"]: row for row in logged(storage)}
    assert len(logged(storage)) == len(rows) == len(answered)
    for name, (picture, answer) in answered.items():
        row = rows[name]
        number, index = map(int, name.split("-")[1:])
        assert (row["camera"], row["role"], row["model_version"]) == (f"camera-{number}", "challenger", "v9")
        assert (row["shadow"], row["drawn"]) == (index % 2 == 1, index % 2 == 0)
        assert row["picture_id"] == sha256_hex(picture)
        assert row["scores"] == pytest.approx([box["score"] for box in answer["boxes"]], abs=1e-5)
        sides = [box[side] for box in answer["boxes"] for side in ("x", "y", "width", "height")]
        assert row["boxes_xywh_px"] == pytest.approx(sides, abs=1e-3)
        assert (row["width_px"], row["height_px"]) == (answer["width_px"], answer["height_px"])
    check_samples(storage, rows)


def check_samples(storage: Path, rows: dict[str, dict[str, Any]]) -> None:
    """Each picture the log points at is there with its record, and shadows were drawn as pairs."""
    samples = {sample.request_id: sample for sample in read_samples(open_store(str(storage)), datetime.now(UTC))}
    assert samples.keys() == {name for name, row in rows.items() if row["picture_uri"]}
    for name, sample in samples.items():
        assert rows[name]["picture_uri"] == sample.picture_uri
        assert sha256_hex(PictureReader().read(sample.picture_uri, sample.picture_id)) == rows[name]["picture_id"]
    assert any(Reason.PAIRED in sample.probabilities for sample in samples.values())


def test_a_killed_predictor_leaves_no_half_shard_and_no_folder(served_model: Path, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    # The wrapper puts a socket there, whose path may have 107 bytes at most: pytest's own folder can be too deep.
    temporary = Path(tempfile.mkdtemp(prefix="belisha-test-"))
    arguments = ("--model-version", "v9", "--storage-uri", str(storage))
    environment = {"TMPDIR": str(temporary)}
    with predictor(served_model, tmp_path / "log", *arguments, environment=environment) as running:
        assert running.wait_ready().status == 200
        answered = ask(running, threads=2, each=10)
        assert list(temporary.glob("belisha-metrics-*"))
        [worker] = listeners(running)
        worker.terminate()
        worker.wait(20)
        rows = logged(storage)
        assert {row["request_id"] for row in rows} == set(answered), "a worker that is asked to go flushes"
        running.wait_ready()
        again = ask(running, threads=2, each=10)
        assert again
        family = running.family()
        running.process.kill()
        running.process.wait(10)
        try:
            wait_for(lambda: not list(temporary.glob("belisha-metrics-*")))
            with pytest.raises(OSError, match="refused"):
                get(running.metrics_port, "/metrics")
        finally:
            # The wrapper's own helpers outlive it.
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            shutil.rmtree(temporary, ignore_errors=True)
    assert {row["request_id"] for row in logged(storage)} >= set(answered)


@pytest.mark.parametrize(
    ("environment", "name", "deployment", "writers"),
    [
        pytest.param({}, "v9", "belisha", 1, id="nothing is said"),
        pytest.param({"PREDICTOR_ID": "p", "SELDON_DEPLOYMENT_ID": "d"}, "p", "d", 1, id="Seldon's names"),
        pytest.param({"GUNICORN_WORKERS": "4", "GRPC_WORKERS": "2"}, "v9", "belisha", 6, id="several writers"),
        pytest.param({"GUNICORN_WORKERS": "0", "GRPC_WORKERS": ""}, "v9", "belisha", 1, id="empty numbers"),
    ],
)
def test_settings_come_from_the_environment(
    environment: dict[str, str], name: str, deployment: str, writers: int
) -> None:
    found = settings_from_environment("v9", "", environment)
    assert (found.identity.predictor_name, found.identity.deployment_name) == (name, deployment)
    assert (found.identity.model_version, found.sampling.writers) == ("v9", writers)


def test_a_number_that_is_none_is_one_sentence() -> None:
    with pytest.raises(InputError, match="GUNICORN_WORKERS is 'many', expected a whole number"):
        settings_from_environment("v9", "", {"GUNICORN_WORKERS": "many"})
