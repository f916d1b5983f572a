"""What the chart puts into a predictor's pod works: its init container fetches, its container serves, and `helm test` sees it.

Commands, environment and parameters are the rendered ones; paths are moved below a temporary folder, ports are free ones, and
what Seldon's operator adds stands here as it adds it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from belisha.components.release.release_template import parse_release_template
from belisha.components.release.seldon_deployment import placements, seldon_deployment
from belisha.components.serve.smoke import Target, answers
from belisha.components.shared.ledger import LedgerState
from belisha.components.shared.model_artifact import read_model_info
from belisha.components.shared.registry import open_registry
from tests.components.serve.conftest import write_served_model
from tests.components.serve.serving import SERVE_PYTHON, Predictor, end, free_ports
from tests.helm.rendering import Object, release_template_text
from tests.release_folders import Folders, add_to, write_folders

VALUES = {"storage": {"uri": "file:///storage", "existingSecret": "", "existingClaim": "loop"}}


def predictor_of_v1() -> Object:
    template = parse_release_template(release_template_text(VALUES))
    body = seldon_deployment(placements(LedgerState("v1"), template), template)
    return body["spec"]["predictors"][0]


def registered(folder: Path) -> None:
    written = write_folders(folder / "run")
    for path in written.model.rglob("*.*"):
        path.unlink()
    write_served_model(written.model)
    digest = read_model_info(written.model).digest
    registry = open_registry(f"file://{folder / 'storage'}")
    add_to(registry, Folders(written.model, written.evaluation, written.decision, digest), "run-1")


def moved(text: str, folder: Path) -> str:
    return text.replace("/models", str(folder / "models")).replace("file:///storage", f"file://{folder / 'storage'}")


def environment(container: Object, folder: Path) -> dict[str, str]:
    told = {it["name"]: moved(it["value"], folder) for it in container["env"] if "value" in it}
    return {"PATH": os.environ["PATH"], **told}


def command(container: Object, folder: Path) -> list[str]:
    words = [moved(word, folder) for word in [*container["command"], *container.get("args", [])]]
    assert words[0] == "python"
    return [str(SERVE_PYTHON), *words[1:]]


def seldons(predictor: Object, folder: Path, ports: list[int]) -> dict[str, str]:
    """What the operator adds to the container, read from a Deployment that Seldon's operator 1.17.1 made."""
    parameters: list[dict[str, Any]] = json.loads(moved(json.dumps(predictor["graph"]["parameters"]), folder))
    return {
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters),
        "PREDICTIVE_UNIT_SERVICE_PORT": str(ports[0]),
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(ports[0]),
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(ports[1]),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(ports[2]),
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        "PREDICTIVE_UNIT_ID": predictor["graph"]["name"],
        "PREDICTIVE_UNIT_IMAGE": "belisha/serve:0.1.0",
        "PREDICTOR_ID": predictor["name"],
        "PREDICTOR_LABELS": json.dumps(predictor["labels"]),
        "SELDON_DEPLOYMENT_ID": "belisha",
        "SELDON_EXECUTOR_ENABLED": "true",
        "BELISHA_LISTEN_HOST": "127.0.0.1",
        "BELISHA_METRICS_PORT": str(ports[3]),
    }


@contextmanager
def running(predictor: Object, folder: Path) -> Iterator[Predictor]:
    [component] = predictor["componentSpecs"]
    [fetcher], [detector] = component["spec"]["initContainers"], component["spec"]["containers"]
    (folder / "models").mkdir()
    subprocess.run(command(fetcher, folder), env=environment(fetcher, folder), check=True, cwd=folder)
    ports, log = free_ports(4), folder / "log"
    told = environment(detector, folder) | seldons(predictor, folder, ports)
    with log.open("wb") as stream:
        process = subprocess.Popen(command(detector, folder), env=told, cwd=folder, stdout=stream, stderr=stream)
    pod = Predictor(process, ports[0], ports[1], ports[3], log)
    try:
        yield pod
    finally:
        end(pod)


def test_a_pod_fetches_its_model_and_serves_it(tmp_path: Path) -> None:
    registered(tmp_path)
    predictor = predictor_of_v1()
    with running(predictor, tmp_path) as pod:
        health = pod.wait_ready()
        assert health.status == 200, pod.log.read_text()
        assert health.json["model_version"] == "v1"
        assert health.json["role"] == "unknown"
        probes = predictor["componentSpecs"][0]["spec"]["containers"][0]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert pod.post(b"", probes[probe]["httpGet"]["path"], method="GET").status == 200, probe
        seen = answers(Target("y-v1", f"http://127.0.0.1:{pod.port}"))
        assert seen.passed, seen.sentence
        assert "model v1" in seen.sentence
        assert "belisha_request_log_written_total/" in pod.counted(), "ours are scraped beside Seldon's"
    assert pod.process.returncode == 0, pod.log.read_text()
    assert list((tmp_path / "storage" / "requests").rglob("*.parquet")), "the request log is written when the pod ends"
