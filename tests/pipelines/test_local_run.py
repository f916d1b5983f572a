"""The compiled pipeline on this machine: it finishes, goes on after any kill with the same result, and touches no network."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.errors import InputError
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.ledger import Action
from belisha.components.shared.manifest import read_pictures
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.progress import silent
from belisha.components.shared.registry import open_registry
from belisha.components.shared.report import Section
from belisha.pipelines.local_run import run_id_of, run_locally
from belisha.pipelines.run_folder import RunFolder
from belisha.pipelines.run_report import write_run_report

pytestmark = [pytest.mark.training, pytest.mark.xdist_group("local_run")]

BELISHA = Path(sys.executable).with_name("belisha")
STREETS = "synthetic://streets?pictures=48&seed=5"
ARGUMENTS = [
    *("--data", STREETS, "--epochs", "2", "--image-size", "160", "--batch", "8"),
    *("--set", "train_workers=0", "--set", "gate_bootstrap_resamples=200"),
]
VERDICT_CODES = {0, 1, 3}
RESULT_KEYS = ("model_digest", "verdict", "accuracy")


def start(workdir: Path, **environment: str) -> subprocess.Popen[str]:
    command = [str(BELISHA), "run", *ARGUMENTS, "--workdir", str(workdir), "--json"]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=600)
    assert process.returncode in VERDICT_CODES, err
    return dict(json.loads(out.splitlines()[-1]))


def run(workdir: Path, **environment: str) -> dict[str, Any]:
    return finish(start(workdir, **environment))


def result_of(found: dict[str, Any]) -> dict[str, Any]:
    """What must be the same each time: all but the paths and the latencies."""
    metrics = {name: value for name, value in found["metrics"].items() if "latency" not in name}
    return {**{key: found[key] for key in RESULT_KEYS}, "metrics": metrics}


# An audit hook sees every connection and look-up that any Python process below the run attempts.
GUARD = """
import os, sys
def _watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        target = arguments[1] if event == "socket.connect" else arguments[0]
        if not isinstance(target, (str, bytes)) or event != "socket.connect":
            with open(os.environ["TEST_NETWORK_LOG"], "a") as log:
                log.write(f"{event} {target!r}\\n")
sys.addaudithook(_watch)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Path]:
    """A whole run, watched for network use: its workdir, its JSON, and the network log."""
    folder = tmp_path_factory.mktemp("guard")
    (folder / "sitecustomize.py").write_text(GUARD)
    network_log = folder / "network.log"
    workdir = tmp_path_factory.mktemp("run")
    return workdir, run(workdir, PYTHONPATH=str(folder), TEST_NETWORK_LOG=str(network_log)), network_log


def test_a_run_leaves_a_registered_model_and_a_report(finished: tuple[Path, dict[str, Any], Path]) -> None:
    workdir, found, _ = finished
    registry = open_registry(str(workdir / "storage"))
    actions = [record.draft.action for record in registry.ledger.records()]
    assert actions.count(Action.REGISTER) == 1
    assert actions.count(Action.TEST_LOOK) == 1
    report = Path(found["report"]).read_text()
    assert found["decision"].split(":")[0] in report
    assert report.count("data:image/jpeg;base64,") > 5


def test_what_came_after_a_run_stands_in_its_report_before_the_steps(
    tmp_path: Path, finished: tuple[Path, dict[str, Any], Path]
) -> None:
    workdir, found, _ = finished
    page = tmp_path / "report.html"
    write_run_report(page, [RunFolder(workdir / "runs" / found["run_id"])], more=[Section("Served afterwards", [])])
    text = page.read_text()
    assert text.index("Outcome") < text.index("Served afterwards") < text.index("Data card")


def test_its_model_is_onnx_that_loads_and_detects(finished: tuple[Path, dict[str, Any], Path]) -> None:
    workdir, found, _ = finished
    folder = RunFolder(workdir / "runs" / found["run_id"])
    picture = read_pictures(folder.output("acquire-pictures", "dataset"))[0]
    image = decode_rgb(PictureReader().read(picture.uri, picture.image_id))
    detections = OnnxDetector(Path(found["model"])).detect(image, score_threshold=0.0)
    assert detections.boxes_xywh_px.shape[1] == 4


def test_the_kfp_ui_can_show_what_the_steps_leave(finished: tuple[Path, dict[str, Any], Path]) -> None:
    """Its HTML lies in a frame of its own, where no other file and no address resolves; its tables take finite numbers."""
    workdir, found, _ = finished
    folder = RunFolder(workdir / "runs" / found["run_id"])
    for task in ("split-dataset", "evaluate-baselines", "train-detector", "validate-model", "compare-with-champion"):
        page = folder.output(task, "report").read_text()
        assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page), f"{task}: the page needs another file"
        assert len(page) < 8 * 2**20, f"{task}: a page of that size freezes the browser"
        numbers = folder.metadata(task, "metrics")
        assert numbers and all(math.isfinite(value) for value in numbers.values())
    matrix = folder.metadata("validate-model", "confusion")["confusionMatrix"]
    assert [one["displayName"] for one in matrix["annotationSpecs"]] == ["pedestrian", "background"]
    assert [len(row["row"]) for row in matrix["rows"]] == [2, 2]


def test_no_network_is_touched(finished: tuple[Path, dict[str, Any], Path]) -> None:
    _, _, network_log = finished
    assert not network_log.exists(), network_log.read_text()


def test_the_guard_itself_sees_a_connection(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    log = tmp_path / "network.log"
    code = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TEST_NETWORK_LOG": str(log)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert "socket.connect" in log.read_text()


def test_the_same_command_again_changes_nothing(finished: tuple[Path, dict[str, Any], Path]) -> None:
    workdir, found, _ = finished
    ledger = open_registry(str(workdir / "storage")).ledger
    before = len(ledger.records())
    assert result_of(run(workdir)) == result_of(found)
    assert len(ledger.records()) == before


@pytest.mark.parametrize("step", ["acquire", "train", "detect test"])
def test_a_killed_run_goes_on_and_gives_the_same_result(
    step: str, finished: tuple[Path, dict[str, Any], Path], tmp_path: Path
) -> None:
    killed = start(tmp_path)
    wait_for_step(killed, tmp_path, step)
    os.kill(killed.pid, signal.SIGKILL)  # the pipeline and its step are left running: the next start must end them
    killed.communicate()
    assert result_of(run(tmp_path)) == result_of(finished[1])


def wait_for_step(process: subprocess.Popen[str], workdir: Path, step: str) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        events = [line for path in workdir.glob("runs/*/events.jsonl") for line in path.read_text().splitlines()]
        if any(json.loads(line)["step"] == step and json.loads(line)["done"] > 0 for line in events):
            return
        assert process.poll() is None, "the run ended before the step began"
        time.sleep(0.05)
    pytest.fail(f"step {step} never began")


def test_a_second_run_in_the_same_folder_is_refused_and_a_polite_end_leaves_nothing_behind(tmp_path: Path) -> None:
    first = start(tmp_path)
    wait_for_step(first, tmp_path, "acquire")
    second = start(tmp_path)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "another run is going on" in err
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "run the same command again" in err
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True)
    assert left.stdout == ""


def test_a_failing_step_gives_its_own_sentence_and_exit_code(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    command = [str(BELISHA), "run", "--data", str(tmp_path / "empty"), "--workdir", str(tmp_path / "run")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 2
    sentence = found.stderr.splitlines()[-1]
    assert str(tmp_path / "empty") in sentence
    assert "Traceback" not in found.stderr


def test_text_that_kfp_rewrites_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rewrites the text"):
        run_locally(tmp_path / "python3-run", {"storage_uri": str(tmp_path)}, silent)


def test_the_same_arguments_are_the_same_run() -> None:
    assert run_id_of({"a": 1, "b": [2]}) == run_id_of({"b": [2], "a": 1})
    assert run_id_of({"a": 1}) != run_id_of({"a": 2})
