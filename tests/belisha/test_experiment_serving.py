"""The judge over real serving: shares move as the evidence has it, and a challenger that errs is out by the next check."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import numpy as np
import onnx
from onnx import helper, numpy_helper

from belisha.components.experiment.experiment import Check, judge_experiment
from belisha.components.experiment.settings import ExperimentSettings, parse_steps
from belisha.components.experiment.sources import Sources
from belisha.components.release.release import release
from belisha.components.route.gateway import GatewaySettings
from belisha.components.shared.ledger import LedgerState, system_clock
from belisha.components.shared.manifest import Box
from belisha.components.shared.model_artifact import ONNX_FILE, read_model_info, write_model_info
from belisha.components.shared.picture_store import PictureStore
from belisha.components.shared.progress import silent
from belisha.components.shared.registry import open_registry
from belisha.components.shared.review_queue import (
    Batch,
    Import,
    Method,
    Pick,
    QueueItem,
    Truth,
    batch_json,
    batch_records,
    import_json,
    import_records,
)
from belisha.components.shared.storage import join_uri, open_store
from belisha.serving.load import Load, Reply, client_session
from belisha.serving.serve import ServeOptions, Serving, serving
from tests.release_folders import write_folders
from tests.serving_world import add_golden, boxes_of, bright_picture, png

# As in earnest, but for numbers that a test can wait for; a busy machine may be slow, so only an absurd latency is a fault.
SETTINGS = ExperimentSettings(
    steps=parse_steps("20:0,50:2,100:20"), unit="request", min_requests=15, min_step_seconds=0, settle_seconds=2,
    log_lag_seconds=3, min_picture_seconds=0, max_p95_seconds=60, max_p95_ratio=0,
)  # fmt: skip
PICTURES = [png(bright_picture(seed)) for seed in range(24)]
# So bright that the third model's graph asks for what is not there.
POISON = [png(bright_picture(seed, cells=9)) for seed in range(4)]


@dataclass
class Trial:
    """A storage, what serves from it, and every reply so far."""

    root: Path
    running: Serving | None = None
    replies: list[Reply] = field(default_factory=list)

    @property
    def storage(self) -> str:
        return str(self.root / "storage")

    @property
    def url(self) -> str:
        assert self.running is not None
        return self.running.url

    @property
    def state(self) -> LedgerState:
        return open_registry(self.storage).ledger.state()

    def shares(self) -> dict[str, float]:
        assert self.running is not None
        return {one.version: round(one.traffic_ratio, 6) for one in self.running.gateway.fleet.targets}

    async def until(self, shares: dict[str, float], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while self.shares() != shares:
            assert time.monotonic() < deadline, f"expected {shares}, got {self.shares()}"
            await asyncio.sleep(0.05)

    async def judge(self) -> Check:
        sources = Sources(self.storage, gateway_url=self.url)
        return await asyncio.to_thread(judge_experiment, sources, SETTINGS, self.root / "check")

    async def ask(self, session: aiohttp.ClientSession, pictures: list[bytes], requests: int = 40) -> None:
        await Load(self.url, pictures).closed(session, clients=2, requests=requests, take=self.replies.append)

    async def judge_until(
        self, session: aiohttp.ClientSession, pictures: list[bytes], done: Callable[[Check], bool], seconds: float = 120
    ) -> Check:
        """Go on sending and judging until a check does something."""
        deadline = time.monotonic() + seconds
        while True:
            await self.ask(session, pictures)
            found = await self.judge()
            if done(found):
                return found
            assert time.monotonic() < deadline, found.sentence
            await asyncio.sleep(0.5)


def release_model(root: Path, gain: float, *, errs: bool = False) -> Path:
    """Release a model that finds what is bright enough for its gain; returns its folder."""
    folder, storage = root / f"model-{gain}-{errs}", str(root / "storage")
    champion = open_registry(storage).ledger.state().champion
    write_folders(folder, gain=gain, champion=champion)
    if errs:
        make_it_err(folder / "model")
    add_golden(folder)
    release(folder / "model", folder / "evaluation", folder / "decision", storage, folder.name)
    return folder / "model"


def make_it_err(folder: Path) -> None:
    """Multiply the scores by the entry of a table of one that a picture's brightness chooses: of a bright one there is none."""
    info, path = read_model_info(folder), folder / ONNX_FILE
    model = onnx.load(path)
    graph = model.graph
    constants = {"four": np.array(4, np.float32), "table": np.ones(1, np.float32)}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["light"], keepdims=0),
        helper.make_node("Mul", ["light", "four"], ["place"]),
        helper.make_node("Cast", ["place"], ["index"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["one"]),
        helper.make_node("Mul", ["scores", "one"], ["checked"]),
    ]
    last = next(node for node in graph.node if node.op_type == "Concat")
    others = [node for node in graph.node if node is not last]
    joined = helper.make_node("Concat", [last.input[0], "checked"], list(last.output), axis=1)
    del graph.node[:]
    graph.node.extend([*others, *nodes, joined])
    onnx.checker.check_model(model)
    onnx.save(model, path)
    write_model_info(folder, replace(info, files={}))


def review(storage: str, truth_model: Path) -> None:
    """People look at pictures that were kept; what they draw is what a model with open eyes finds."""
    pictures = PictureStore(open_store(join_uri(storage, "review/pictures")))
    now, store = system_clock(), open_store(storage)
    items, truths = [], []
    for data in PICTURES:
        picture_id = pictures.add(data)
        items.append(QueueItem(picture_id, pictures.uri_of(picture_id), 96, 96, now, "gate", "day", Pick.UNIFORM, 0.5))
        boxes = tuple(Box(*one[:4]) for one in boxes_of(truth_model, data))
        truths.append(Truth(picture_id, boxes, Method.ONE_ANNOTATOR, ("ann",)))
    batch_records(store).append(lambda _: batch_json(Batch(1, "key", "test", now, now, now, tuple(items))))
    import_records(store).append(lambda _: import_json(Import(1, now, "digest", "test", (), tuple(truths))))


async def play(trial: Trial) -> None:
    (trial.root / "policy.yaml").write_text("sticky_by: request\n")
    options = ServeOptions(
        trial.storage, GatewaySettings(port=0), policy=trial.root / "policy.yaml", cache_dir=trial.root / "cache",
        environment=(("BELISHA_LOG_SECONDS", "1"),), runtime="onnxruntime",
    )  # fmt: skip
    async with serving(options, silent) as running, client_session() as session:
        trial.running = running
        await a_better_challenger_is_promoted(trial, session)
        await one_that_errs_is_taken_out(trial, session)


async def a_better_challenger_is_promoted(trial: Trial, session: aiohttp.ClientSession) -> None:
    assert (await trial.judge()).record is not None
    await trial.until({"v1": 0.8, "v2": 0.2})
    waiting = await trial.judge_until(session, PICTURES, lambda one: one.record is None and not lacks_traffic(one))
    assert trial.state == LedgerState("v1", "v2", 0.2), "traffic alone proves nothing"
    assert any("0 of 10 disagreements" in sentence for sentence in waiting.judgement.missing)  # type: ignore[union-attr]
    review(trial.storage, trial.root / "model-1.0-False" / "model")
    await trial.judge_until(session, PICTURES, lambda one: one.record is not None)
    await trial.until({"v1": 0.5, "v2": 0.5})
    await trial.judge_until(session, PICTURES, lambda one: one.record is not None)
    assert trial.state == LedgerState("v2")
    await trial.until({"v2": 1.0})


def lacks_traffic(check: Check) -> bool:
    return any("reviewed" not in sentence and "e-value" not in sentence for sentence in check.judgement.missing)  # type: ignore[union-attr]


async def one_that_errs_is_taken_out(trial: Trial, session: aiohttp.ClientSession) -> None:
    await asyncio.to_thread(release_model, trial.root, 0.95, errs=True)
    assert (await trial.judge()).record is not None
    await trial.until({"v2": 0.8, "v3": 0.2})
    while failures(trial) < SETTINGS.min_errors:
        await trial.ask(session, POISON, requests=10)
    found = await trial.judge()
    assert found.exit_code == 1 and "fails too often" in found.sentence, found.sentence
    assert trial.state == LedgerState("v2")
    await trial.until({"v2": 1.0})


def failures(trial: Trial) -> float:
    assert trial.running is not None
    found = trial.running.gateway.metrics.failures.collect()[0].samples
    return sum(one.value for one in found if one.labels["model_version"] == "v3" and one.name.endswith("_total"))


def test_the_judge_over_real_serving(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    release_model(tmp_path, 0.3)
    release_model(tmp_path, 1.0)
    assert trial.state == LedgerState("v1", "v2", 0.0)
    asyncio.run(play(trial))
    assert {reply.status for reply in trial.replies} == {200}, "whatever was tried on them, callers got their answers"
    events = [record.draft.details.get("event") for record in open_registry(trial.storage).ledger.records()]
    assert [event for event in events if event] == ["step", "step", "promote", "step", "stop"]
