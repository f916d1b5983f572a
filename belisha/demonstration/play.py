"""The story: a champion that has only seen daylight serves, night falls, and the loop does what it is for.

Every part is the product's own, over real serving on this machine: requests, log, drift check, policy, review queue, training
run, judge. Only the clock is squeezed: windows and samples are as small as they can be, so that a day takes a minute. Stopped
and started again it goes on with the part that the ledger has not seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp

from belisha.components.drift.settings import DriftSettings
from belisha.components.drift.step import CheckOutcome, CheckRequest, freeze_reference, run_check
from belisha.components.experiment.experiment import Check, judge_experiment
from belisha.components.experiment.settings import ExperimentSettings, parse_steps
from belisha.components.experiment.sources import Sources
from belisha.components.retrain.cause import run_name_of
from belisha.components.retrain.settings import RetrainSettings
from belisha.components.retrain.trigger import RunStatus
from belisha.components.review.choose import ChoiceSettings
from belisha.components.review.select import SelectSettings, select
from belisha.components.route.gateway import GatewaySettings
from belisha.components.shared.drift_alert import DriftAlert, drift_alerts
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.ledger import LedgerState, Record, system_clock
from belisha.components.shared.progress import ProgressEvent, ProgressSink, read_events
from belisha.components.shared.registry import open_registry
from belisha.components.shared.request_log import read_log
from belisha.components.shared.review_queue import Pick
from belisha.components.shared.storage import open_store
from belisha.demonstration.people import answer_all
from belisha.demonstration.streets import Frame, frames
from belisha.demonstration.traffic import ServingResult, example_of, result_of
from belisha.pipelines.local_trigger import LocalTrigger
from belisha.pipelines.run_folder import RunFolder
from belisha.retraining.config import RetrainConfig
from belisha.retraining.retraining import Retraining
from belisha.serving.load import Load, Reply, client_session
from belisha.serving.serve import ServeOptions, Serving, serving

WINDOW = 50
DRIFT = DriftSettings(window_pictures=WINDOW, min_window_pictures=25, min_reference_pictures=200, gap_seconds=0.0)
POLICY = RetrainSettings(review_pictures=100, min_reviewed_pictures=40)
JUDGE = ExperimentSettings(
    steps=parse_steps("20:0,50:2,100:20"), unit="request", min_requests=20, min_step_seconds=0, settle_seconds=2,
    log_lag_seconds=3, min_picture_seconds=0, max_p95_seconds=5, max_p95_ratio=0,
)  # fmt: skip
# The condition, and how many pictures come before the next check.
SKY = (("day", 3 * WINDOW), ("dusk", WINDOW), ("night", WINDOW), ("night", WINDOW), ("night", WINDOW))
REFERENCE_PICTURES = 240
TRIAL_PICTURES, MOST_CHECKS = 120, 10
_SKIPPED_PICTURES = 2000
_EXAMPLES, _FIRST_PICTURE, _CLIENTS, _LOG_SECONDS, _PATIENCE_SECONDS = 3, 100_000, 2, 1, 90.0
_POLICY_FILE = "sticky_by: request\nshadow_ratio: 0.5\n"


@dataclass(frozen=True, slots=True)
class Look:
    """One drift check: the sky under which the last pictures were taken, and what was found."""

    condition: str
    pictures: int
    outcome: CheckOutcome


@dataclass(slots=True)
class Story:
    """What happened, as far as this start has seen it.

    Attributes:
        looks: drift checks in turn.
        alert: that started it all.
        reviewed: what the policy and the people said, in turn.
        retrained: the run that followed.
        served: the challenger's first share.
        checks: of the judge, in turn.
        state: at the end.
        records: of the ledger at the end.
    """

    looks: list[Look] = field(default_factory=list)
    alert: DriftAlert | None = None
    reviewed: list[str] = field(default_factory=list)
    retrained: RunFolder | None = None
    served: ServingResult | None = None
    checks: list[Check] = field(default_factory=list)
    state: LedgerState = field(default_factory=LedgerState)
    records: list[Record] = field(default_factory=list)


class Play:
    """Plays the story on one storage.

    Args:
        workdir: of the demonstration; runs and caches lie in it.
        storage_uri: with a champion.
        source: `synthetic://` source that the champion was trained on.
        parameters: of the training run that drift starts.
        progress: told of everything slow.
    """

    def __init__(
        self, workdir: Path, storage_uri: str, source: str, parameters: dict[str, object], progress: ProgressSink
    ) -> None:
        self._workdir, self._storage, self._progress = workdir, storage_uri, progress
        self._trigger = LocalTrigger(workdir)
        config = RetrainConfig(policy=POLICY, parameters={"data_sources": [source], **parameters})
        self._retraining = Retraining(storage_uri, self._trigger, config)
        self._frames = _Frames(source)
        self.story = Story()

    @property
    def is_over(self) -> bool:
        """Whether an earlier start has played it to the end: the run that drift asked for has ended, and so has the trial."""
        alert = self._alert()
        found = self._trigger.find(run_name_of(alert.cause_id)) if alert is not None else None
        return found is not None and found.status is RunStatus.SUCCEEDED and self._state().challenger is None

    async def run(self) -> Story:
        """Serve, watch, retrain, and judge; raises BelishaError when a part fails."""
        policy = self._workdir / "policy.yaml"
        policy.write_text(_POLICY_FILE)
        kept = {
            "BELISHA_LOG_SECONDS": _LOG_SECONDS,
            "BELISHA_REVIEW_UNIFORM_RATIO": 1,
            "BELISHA_REVIEW_PAIRED_RATIO": 1,
        }
        options = ServeOptions(
            self._storage, GatewaySettings(port=0), policy=policy, cache_dir=self._workdir / "cache",
            environment=tuple((name, str(value)) for name, value in kept.items()),
        )  # fmt: skip
        async with serving(options, self._progress) as running, client_session() as session:
            if self._alert() is None:
                await self._watch(running, session)
            else:
                await asyncio.to_thread(self._remember_the_watch)
            self.story.alert = self._alert()
            if self.story.alert is not None:
                await asyncio.to_thread(self._retrain, self.story.alert)
            if self._state().challenger is not None:
                await self._judge(running, session)
        self.story.state, self.story.records = self._state(), self._ledger_records()
        return self.story

    # Watching

    async def _watch(self, running: Serving, session: aiohttp.ClientSession) -> None:
        """Let the champion see a day, freeze that as its reference, and let the sky change until the check fires."""
        await self._send(running, session, "day", REFERENCE_PICTURES)
        await asyncio.to_thread(
            freeze_reference, self._storage, "", 1.0, self._progress,
            min_pictures=DRIFT.min_reference_pictures, gap_seconds=0.0,
        )  # fmt: skip
        for condition, pictures in SKY:
            await self._send(running, session, condition, pictures)
            request = CheckRequest(
                self._storage, settings=DRIFT, report_file=self._workdir / f"drift-{len(self.story.looks) + 1}.html"
            )
            outcome = await asyncio.to_thread(run_check, request, self._progress)
            self.story.looks.append(Look(condition, pictures, outcome))
            if self._alert() is not None:
                return

    def _remember_the_watch(self) -> None:
        """Draw again what an earlier start has drawn: people are still to be asked about some of it."""
        for condition, pictures in (("day", REFERENCE_PICTURES), *SKY):
            self._frames.draw(condition, pictures)
        # Nothing that was shown before says anything new; no start shows as many pictures as a step here skips.
        self._frames.skip(_SKIPPED_PICTURES * len(self._ledger_records()))

    async def _send(
        self, running: Serving, session: aiohttp.ClientSession, condition: str, pictures: int
    ) -> list[Reply]:
        """New pictures to the gateway, each once; returns when the request log has them."""
        shown = await asyncio.to_thread(self._frames.draw, condition, pictures)
        load = Load(running.url, [frame.data for frame in shown], [frame.camera for frame in shown])
        replies: list[Reply] = []
        begin = system_clock()

        def take(reply: Reply) -> None:
            replies.append(reply)
            self._progress(ProgressEvent(f"serve by {condition}", len(replies), pictures, "requests"))

        await load.closed(session, clients=_CLIENTS, requests=pictures, take=take)
        unanswered = sum(reply.status != 200 for reply in replies)
        if unanswered:
            raise BelishaError(f"{unanswered} of {pictures} requests were not answered: look at the predictors' logs")
        await asyncio.to_thread(self._wait_for_log, begin, pictures)
        return replies

    def _wait_for_log(self, begin: datetime, rows: int) -> None:
        store, deadline = open_store(self._storage), time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            end = system_clock() + timedelta(seconds=1)
            # A shadow's row stands beside the answer's own and must not be taken for it.
            shards = read_log(store, begin, end, ["shadow"])
            if sum(shard["shadow"].to_pylist().count(False) for shard in shards) >= rows:
                return
            time.sleep(0.2)
        raise BelishaError(f"the request log did not take {rows} answers in {_PATIENCE_SECONDS:g} s: is the disk full?")

    # Retraining

    def _retrain(self, alert: DriftAlert) -> None:
        """Do what the policy says until the run that it starts has ended."""
        for _ in range(3):
            outcomes = self._retraining.act_on_alert(self._progress)
            self.story.reviewed += [outcome.sentence for outcome in outcomes]
            if any(run.stage.is_running or run.stage.is_end for outcome in outcomes if (run := outcome.run)):
                break
            self.story.reviewed.append(answer_all(self._storage, self._frames.known, self._progress))
        name = run_name_of(alert.cause_id)
        if self._trigger.find(name) is None:
            return
        self._follow(name)
        self._retraining.settle(self._progress)
        self.story.retrained = RunFolder(self._trigger.folder(name).folder)

    def _follow(self, name: str) -> None:
        """Pass the run's progress on until it has ended."""
        folder, offset = RunFolder(self._trigger.folder(name).folder), 0
        while True:
            found = self._trigger.find(name)
            events, offset = read_events(folder.events_file, offset)
            for event in events:
                self._progress(ProgressEvent(f"retrain: {event.step}", event.done, event.total, event.unit, event.note))
            if found is None or found.status in (RunStatus.FAILED, RunStatus.STOPPED):
                raise BelishaError(f"{name} did not end well: read {self._trigger.folder(name).log_file}")
            if found.status is RunStatus.SUCCEEDED:
                return
            time.sleep(0.2)

    # The trial

    async def _judge(self, running: Serving, session: aiohttp.ClientSession) -> None:
        """Send night after night, let people look, and let the judge decide, until the challenger is in or out."""
        sources = Sources(self._storage, gateway_url=running.url)
        for number in range(MOST_CHECKS):
            check = await asyncio.to_thread(judge_experiment, sources, JUDGE, self._workdir / "experiment")
            self.story.checks.append(check)
            self._progress(ProgressEvent("experiment", number + 1, MOST_CHECKS, "checks", check.sentence))
            state = self._state()
            await self._until_followed(running, state)
            if state.challenger is None:
                return
            # Both dice and log need a moment after a change of the share, as the judge's settings say.
            await asyncio.sleep(JUDGE.settle_seconds)
            replies = await self._send(running, session, "night", TRIAL_PICTURES)
            if self.story.served is None:
                pictures = [frame.data for frame in list(self._frames.known.values())[-_EXAMPLES:]]
                shown = [await example_of(running.url, session, data) for data in pictures]
                self.story.served = result_of(replies, running.gateway.fleet.targets, _CLIENTS, shown)
            await asyncio.to_thread(self._review, f"trial-{len(self._ledger_records())}")
            await asyncio.sleep(JUDGE.log_lag_seconds)

    async def _until_followed(self, running: Serving, state: LedgerState) -> None:
        wanted = 1.0 if state.challenger is None else 1 - state.challenger_traffic_ratio
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            shares = {one.version: one.traffic_ratio for one in running.gateway.fleet.targets}
            if abs(shares.get(state.champion or "", -1.0) - wanted) < 1e-9:
                return
            await asyncio.sleep(0.05)
        raise BelishaError(
            f"serving did not follow the ledger in {_PATIENCE_SECONDS:g} s: look at the predictors' logs"
        )

    def _review(self, key: str) -> None:
        choice = ChoiceSettings(POLICY.review_pictures, {Pick.UNIFORM: 1.0})
        select(self._storage, "", SelectSettings(key=key, cause="the trial", choice=choice), self._progress)
        answer_all(self._storage, self._frames.known, self._progress)

    # The ledger

    def _state(self) -> LedgerState:
        return open_registry(self._storage, must_exist=True).ledger.state()

    def _ledger_records(self) -> list[Record]:
        return open_registry(self._storage, must_exist=True).ledger.records()

    def _alert(self) -> DriftAlert | None:
        found = [alert for _, alert in drift_alerts(self._ledger_records())]
        return found[-1] if found else None


class _Frames:
    """Draws pictures that nobody has seen, and knows what is true of every one that it has drawn."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._next = _FIRST_PICTURE
        self.known: dict[str, Frame] = {}

    def skip(self, count: int) -> None:
        """Leave pictures out."""
        self._next += count

    def draw(self, condition: str, count: int) -> Sequence[Frame]:
        drawn = list(frames(self._source, condition, self._next, count))
        self._next += count
        self.known |= {frame.picture_id: frame for frame in drawn}
        return drawn
