"""Run every image on a small data set, as a cluster would.

    .venv/bin/python docker/try_images.py --folder DIR [--log FILE]

The compiled training pipeline runs step by step, each in its own image through the very command that KFP would use; then the
champion it made is served and asked, the router starts, and drift, review and the experiment's judge look at what was logged.
Needs the images (`make images`), the environment of `make setup`, and docker, podman, or runc with buildah.
Exit codes: 0 all ran, 1 one did not, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from containers import Start, command_of, end_command, hand_over, inside_command, take_back, usable_engine
from description import describe
from images import IMAGES, reference

from belisha.components.shared.errors import EXIT_INCONCLUSIVE, EXIT_OK
from belisha.pipelines.compiling import compiled_path
from belisha.pipelines.demo import CHAMPION, STREETS

# The demonstration's first run: it beats the cheap heuristics after two minutes on two CPU cores, so that there is a champion.
PIPELINE = {
    **CHAMPION,
    "data_sources": [STREETS],
    "train_workers": 0,
    # What else runs on this machine is not the candidate's fault.
    "gate_max_latency_p95_seconds": 0.0,
    "run_id": "try-images",
}
_START_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one container."""

    image: str
    what: str
    exit_code: int
    wanted: tuple[int, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it ended as it should."""
        return self.exit_code in self.wanted


class Trials:
    """Runs containers one after the other and remembers what came of them.

    Args:
        engine: docker, podman or runc.
        folder: mounted into every container.
    """

    def __init__(self, engine: str, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.done: list[Trial] = []
        self._known_as: dict[str, str] = {}

    def run(
        self, name: str, what: str, command: Sequence[str], *, wanted: tuple[int, ...] = (EXIT_OK,), **environment: str
    ) -> int:
        """Run to the end."""
        start = self.start(name, command, **environment)
        began = time.monotonic()
        code = subprocess.run(command_of(self.engine, start), check=False).returncode
        self.record(name, what, code, wanted, time.monotonic() - began)
        return code

    def start(self, name: str, command: Sequence[str], *, network: bool = False, **environment: str) -> Start:
        """A container of one of our images, which the engine has by now."""
        image = next(image for image in IMAGES if image.name == name)
        if name not in self._known_as:
            self._known_as[name] = hand_over(self.engine, reference(image))
        return Start(self._known_as[name], command, self.folder, environment, network)

    def check_health(self, start: Start, path: str) -> None:
        """What the image's HEALTHCHECK runs, inside the running container; raises RuntimeError unless it is content."""
        command = inside_command(self.engine, start.name, ["python", "/opt/belisha/health.py", path])
        if subprocess.run(command, check=False).returncode:
            raise RuntimeError(f"the image's health check of {path} failed")

    def record(self, name: str, what: str, code: int, wanted: tuple[int, ...], seconds: float) -> None:
        """Remember a container's end and say it."""
        trial = Trial(name, what, code, wanted, seconds)
        self.done.append(trial)
        print(f"{'ok  ' if trial.passed else 'FAIL'} {name:<11}{what} (exit code {code}, {seconds:.1f} s)", flush=True)


def train(trials: Trials, storage_uri: str) -> None:
    """Every step of the compiled pipeline in its image, by KFP's own local orchestrator."""
    from kfp import components, local
    from kfp.local import docker_task_handler
    from kfp.local.status import Status

    class Handler(docker_task_handler.DockerTaskHandler):  # type: ignore[misc]
        """Starts a step as a container of ours instead of asking Docker's daemon."""

        def run(self) -> Status:
            name = self.image.rsplit("/", 1)[1].split(":")[0]
            code = trials.run(name, f"pipeline step {name}", self.full_command)
            return Status.FAILURE if code else Status.SUCCESS

    warnings.filterwarnings("ignore", message="You may be attemping")
    docker_task_handler.DockerTaskHandler = Handler
    steps = trials.folder / "steps"
    steps.mkdir(mode=0o777)
    steps.chmod(0o777)
    with tempfile.TemporaryDirectory() as workspace:
        local.init(local.DockerRunner(), pipeline_root=str(steps), workspace_root=workspace, raise_on_error=True)
        components.load_component_from_file(str(compiled_path()))(**PIPELINE, storage_uri=storage_uri)


def serve(trials: Trials, storage: str, port: int) -> None:
    """Fetch the champion, serve it, ask it about pictures, and let the log be written."""
    models = trials.folder / "models"
    models.mkdir(mode=0o777)
    models.chmod(0o777)
    fetch = ["python", "-m", "belisha.components.serve.fetching", "--version", "v1", "--into", str(models / "model")]
    trials.run("serve", "fetch the champion from the registry", [*fetch, "--storage", storage])
    start = trials.start(
        "serve",
        ["python", "-m", "belisha.components.serve.launcher"],
        network=True,
        PREDICTIVE_UNIT_HTTP_SERVICE_PORT=str(port),
        PREDICTIVE_UNIT_METRICS_SERVICE_PORT=str(port + 1),
        BELISHA_METRICS_PORT=str(port + 2),
        BELISHA_LISTEN_HOST="127.0.0.1",
        BELISHA_STORAGE_URI=storage,
        PREDICTOR_ID="y-v1",
        GRPC_WORKERS="0",
        PAYLOAD_PASSTHROUGH="true",
        INCLUDE_METRICS_IN_CLIENT_RESPONSE="false",
        PREDICTIVE_UNIT_PARAMETERS=json.dumps(_parameters(models / "model", storage)),
    )
    health = f"http://127.0.0.1:{port}/health/status"
    _while_running(trials, "serve", "serve 20 pictures over HTTP", start, health, lambda: _ask(trials, start, port))


def _parameters(model: Path, storage: str) -> list[dict[str, str]]:
    values = {"model_dir": str(model), "storage_uri": storage}
    return [{"name": name, "value": value, "type": "STRING"} for name, value in values.items()]


def _ask(trials: Trials, start: Start, port: int) -> None:
    """Send stored pictures; every answer must have the boxes' key."""
    pictures = [path for path in sorted((trials.folder / "storage/pictures").rglob("*")) if path.is_file()][:20]
    for picture in pictures:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/v1.0/predictions", picture.read_bytes(), {"Content-Type": "image/jpeg"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            if "boxes" not in answer.read().decode():
                raise RuntimeError(f"the answer to {picture.name} has no boxes")
    if len(pictures) < 20:
        raise RuntimeError(f"only {len(pictures)} pictures were there to ask about")
    trials.check_health(start, "/health/status")


def route(trials: Trials, port: int) -> None:
    """Start the in-graph router and see it healthy."""
    policy = trials.folder / "policy.yaml"
    policy.write_text("{}\n")
    values = [
        ("children", "STRING", "v1,v2"),
        ("challenger_traffic_ratio", "FLOAT", "0.25"),
        ("policy_path", "STRING", str(policy)),
    ]
    start = trials.start(
        "route",
        ["seldon-core-microservice", "belisha.components.route.router.TrafficRouter", "--service-type", "ROUTER"],
        network=True,
        PREDICTIVE_UNIT_HTTP_SERVICE_PORT=str(port),
        PREDICTIVE_UNIT_METRICS_SERVICE_PORT=str(port + 1),
        BELISHA_METRICS_PORT=str(port + 2),
        GRPC_WORKERS="0",
        PREDICTIVE_UNIT_PARAMETERS=json.dumps([{"name": n, "type": t, "value": v} for n, t, v in values]),
    )
    health = f"http://127.0.0.1:{port}/health/ping"
    _while_running(
        trials, "route", "route between two predictors", start, health, lambda: _route_once(trials, start, port)
    )


def _route_once(trials: Trials, start: Start, port: int) -> None:
    """Ask for one decision; it must name one of the two branches."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/route", b'{"data": {"ndarray": [1]}}', {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        branch = json.loads(answer.read())["data"]["ndarray"]
    if branch not in ([[0]], [[1]]):
        raise RuntimeError(f"the router answered {branch}, which is no branch")
    trials.check_health(start, "/health/ping")


def _while_running(trials: Trials, name: str, what: str, start: Start, health: str, ask: Callable[[], None]) -> None:
    """Ask a server once its address of health answers, then end it; its exit code after SIGTERM counts, too."""
    began = time.monotonic()
    process = subprocess.Popen(command_of(trials.engine, start))
    code = 1
    try:
        _wait_until_ready(process, health)
        ask()
        code = EXIT_OK
    except (OSError, RuntimeError, ValueError) as error:
        print(f"try: {name}: {error}", file=sys.stderr)
    finally:
        subprocess.run(end_command(trials.engine, start.name), check=False)
        ended = process.wait(timeout=60)
    trials.record(name, what, code or (0 if ended in (0, 143) else ended), (EXIT_OK,), time.monotonic() - began)


def _wait_until_ready(process: subprocess.Popen[bytes], health: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise RuntimeError(f"it was not ready after {_START_SECONDS} s")


def watch(trials: Trials, storage: str) -> None:
    """The loop's jobs on a log of a few minutes: too little for a verdict, which is what they must say."""
    report = ["--report", str(trials.folder / "drift.html")]
    drift = ["belisha", "drift", "check", "--storage", storage, "--json", *report]
    trials.run("drift", "drift check", drift, wanted=(EXIT_OK, EXIT_INCONCLUSIVE))
    trials.run("drift", "retrain status", ["belisha", "retrain", "status", "--storage", storage])
    trials.run("review", "select pictures for review", ["belisha", "review", "select", "--storage", storage])
    judge = ["belisha", "experiment", "judge", "--storage", storage, "--json"]
    trials.run("experiment", "judge the experiment", judge, wanted=(EXIT_OK, EXIT_INCONCLUSIVE))
    trials.run("release", "history", ["belisha", "history", "--storage", storage])
    trials.run("release", "controller's help", ["belisha", "controller", "--help"])


def export(trials: Trials, storage: str, port: int) -> None:
    """Read what the ledger says through the exporter of the release image."""
    command = ["belisha", "exporter", "--storage", storage, "--port", str(port)]
    address = f"http://127.0.0.1:{port}/metrics"
    start = trials.start("release", command, network=True)
    _while_running(trials, "release", "export the ledger's metrics", start, address, lambda: _scrape(address))


def _scrape(address: str) -> None:
    with urllib.request.urlopen(address, timeout=10) as answer:
        if "belisha_ledger_role_info{" not in answer.read().decode():
            raise RuntimeError("the exporter names no role")


def inspect(trials: Trials) -> None:
    """What no image may have, looked for from inside."""
    probe = Path(__file__).with_name("probe.py").read_text()
    for image in IMAGES:
        wanted = {"SHELL": str(image.shell), "TRAIN": str(image.name == "train")}
        trials.run(image.name, "user 8888, nothing writable, no pip, no compiler", ["python", "-c", probe], **wanted)


def page(trials: Trials) -> str:
    """What was built and what ran, as Markdown."""
    described = {image: describe(reference(image)) for image in IMAGES}
    commits = ", ".join(sorted({said.revision[:12] for said in described.values()}))
    built = f"These were built from commit {commits} and run by {trials.engine}."
    sizes = [
        f"| {image.name} | {said.size_megabytes} | {_word(image.shell)} | {_word(image.target != 'job')} |"
        for image, said in described.items()
    ]
    runs = [
        f"| {trial.image} | {trial.what} | {trial.exit_code} | {trial.seconds:.1f} | {_word(trial.passed)} |"
        for trial in trials.done
    ]
    lines = [
        "# Container images",
        "",
        *_PREFACE,
        built,
        "",
        *_SIZES_HEADER,
        *sizes,
        "",
        "## Each of them run",
        "",
        *_RUNS,
        "",
    ]
    return "\n".join([*lines, *_RUNS_HEADER, *runs, ""])


def _word(yes: bool) -> str:
    return "yes" if yes else "no"


_PREFACE = (
    "`make images` builds them with docker, podman or buildah from [one file](../docker/Containerfile). Each has what its",
    "component needs, locked with hashes, and nothing else: numeric user 8888, no pip, no compiler; only `train` has CUDA,",
    "ultralytics and the code under AGPL-3.0. Those that KFP starts keep a shell, for KFP starts its steps through one.",
    "",
    "This page is written by `.venv/bin/python docker/try_images.py --folder DIR --log docs/images.md`.",
)
_RUNS = (
    "As user 8888 with a read-only root, /tmp and one folder to write, no network but for the three servers. The pipeline's",
    "steps are started by the command that stands in the compiled pipeline; the health checks of `serve` and `route` are run",
    "inside them. Exit code 3: too little to judge.",
)
_SIZES_HEADER = ("| image | MB, unpacked | shell | health check |", "|---|---|---|---|")
_RUNS_HEADER = ("| image | what | exit code | seconds | as it should |", "|---|---|---|---|---|")


def main() -> int:
    """Try all images; 1 when one did not do what it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="empty folder for data, models and logs")
    parser.add_argument("--log", type=Path, help="write what ran as Markdown")
    parser.add_argument("--port", type=int, default=19000, help="the first of 21 free ports on loopback")
    options = parser.parse_args()
    engine = usable_engine()
    if engine is None:
        parser.error("nothing here runs containers: start docker or podman, or install runc beside buildah")
    folder = options.folder.resolve()
    (folder / "storage").mkdir(parents=True)
    for path in (folder, folder / "storage"):
        path.chmod(0o777)
    trials = Trials(engine, folder)
    storage = str(folder / "storage")
    try:
        train(trials, storage)
        serve(trials, storage, options.port)
        route(trials, options.port + 10)
        watch(trials, storage)
        export(trials, storage, options.port + 20)
        inspect(trials)
    finally:
        take_back()
    if options.log:
        options.log.write_text(page(trials))
    return int(not all(trial.passed for trial in trials.done))


if __name__ == "__main__":
    raise SystemExit(main())
