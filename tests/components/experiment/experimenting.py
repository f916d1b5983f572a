"""A registry with a champion and a challenger, a request log and reviews that say what a test wants."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.shared.ledger import Action, Draft, Ledger, LedgerState, Record
from belisha.components.shared.manifest import Box
from belisha.components.shared.picture_statistics import STATISTIC_NAMES, PictureStatistics
from belisha.components.shared.registry import open_registry
from belisha.components.shared.request_log import PredictionRow, encode_shard, shard_key
from belisha.components.shared.review_queue import (
    Batch,
    Import,
    Method,
    ModelAnswer,
    Pick,
    QueueItem,
    Truth,
    batch_json,
    batch_records,
    import_json,
    import_records,
)
from belisha.components.shared.review_samples import Reason, ReviewSample
from belisha.components.shared.storage import ObjectStore, open_store

BEGIN = datetime(2026, 5, 1, 12, tzinfo=UTC)
# Steps come as soon as the evidence is there.
QUICK = ExperimentSettings(
    settle_seconds=0.0,
    min_requests=50,
    min_step_seconds=0.0,
    log_lag_seconds=0.0,
    unit="request",
    min_picture_seconds=0,
)
PERSON = Box(10, 10, 20, 40)


@dataclass
class Clock:
    """A present that a test moves."""

    now: datetime = BEGIN

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Lab:
    """A storage on which an experiment of v2 against v1 begins now; v1 and v2 are names without models."""

    root: Path | str
    clock: Clock = field(default_factory=Clock)
    shards: int = 0
    batches: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.root, Path):
            (self.root / "registry").mkdir(parents=True)
        self.write(Action.PROMOTE, "v1", LedgerState("v1"))
        self.write(Action.CHALLENGE, "v2", LedgerState("v1", "v2", 0.0))

    @property
    def uri(self) -> str:
        return str(self.root)

    @property
    def store(self) -> ObjectStore:
        return open_store(self.uri)

    @property
    def ledger(self) -> Ledger:
        return open_registry(self.uri, clock=self.clock).ledger

    @property
    def records(self) -> list[Record]:
        return self.ledger.records()

    @property
    def state(self) -> LedgerState:
        return self.ledger.state()

    def write(self, action: Action, subject: str, state: LedgerState, actor: str = "ann", **details: object) -> Record:
        ledger = open_registry(self.uri, clock=self.clock, actor=actor).ledger
        record = ledger.append(lambda _, __: Draft(action, subject, "because", state, details=dict(details)))
        assert record is not None
        return record

    def split(self, ratio: float, actor: str = "ann") -> Record:
        return self.write(Action.TRAFFIC, "v2", LedgerState("v1", "v2", ratio), actor)

    def log(
        self,
        champion: int,
        challenger: int,
        *,
        seconds: float = 60.0,
        latency: tuple[float, float] = (0.05, 0.05),
        camera: str = "",
        shadows: int = 0,
        drawn: bool = True,
        role_seed: int = 0,
    ) -> None:
        """Add drawn answers of both models, mixed over so many seconds, and move the clock past them."""
        rng = np.random.default_rng(role_seed)
        whose = ["v1"] * champion + ["v2"] * challenger + ["shadow"] * shadows
        order = rng.permutation(len(whose))
        step = seconds / max(1, len(whose))
        rows = [
            row(
                self.clock.now + timedelta(seconds=(place + 1) * step),
                whose[index],
                latency,
                camera,
                f"{self.shards}-{place}",
                drawn,
            )
            for place, index in enumerate(order)
        ]
        for hour, group in itertools.groupby(rows, key=lambda one: one.time.replace(minute=0, second=0, microsecond=0)):
            part = list(group)
            self.shards += 1
            self.store.create(shard_key(part[0].time, f"test-{hour:%H}", self.shards), encode_shard(part))
        self.clock.forward(seconds + 1)

    def review(
        self,
        wins: int = 0,
        losses: int = 0,
        ties: int = 0,
        *,
        pick: Pick = Pick.DISAGREEMENT,
        at: datetime | None = None,
        camera: str = "gate",
        answered: bool = True,
        kept_for: Reason = Reason.PAIRED,
    ) -> None:
        """Have pictures reviewed that the challenger wins, loses, or on which both are right; one import."""
        self.batches += 1
        outcomes = ["win"] * wins + ["loss"] * losses + ["tie"] * ties
        moments = [(at or self.clock.now) + timedelta(seconds=number / 1000) for number in range(len(outcomes))]
        items = tuple(
            item(f"{self.batches}/{number}", outcome, moments[number], pick, camera, answered=answered)
            for number, outcome in enumerate(outcomes)
        )
        for one in items:
            for sample in samples_of(one, kept_for):
                self.store.write(sample.key(), sample.to_bytes())
        batch = Batch(1, f"key-{self.batches}", "test", self.clock.now, BEGIN, self.clock.now, items)
        batch_records(self.store).append(lambda _: batch_json(batch))
        truths = tuple(Truth(one.picture_id, (PERSON,), Method.ONE_ANNOTATOR, ("ann",)) for one in items)
        one = Import(1, self.clock.now, f"digest-{self.batches}", "test", (), truths)
        import_records(self.store).append(lambda _: import_json(one))


def item(
    name: str,
    outcome: str,
    at: datetime,
    pick: Pick = Pick.DISAGREEMENT,
    camera: str = "gate",
    *,
    answered: bool = True,
) -> QueueItem:
    """A picture with one person, whom only the winner has found."""
    right = ((PERSON.x, PERSON.y, PERSON.width, PERSON.height),)
    finds = {"win": ((), right), "loss": (right, ()), "tie": (right, right)}[outcome]
    answers = tuple(
        ModelAnswer(version, role, name, role == "challenger", boxes, (0.9,) * len(boxes))
        for version, role, boxes in zip(("v1", "v2"), ("champion", "challenger"), finds, strict=True)
    )
    digest = hashlib.sha256(name.encode()).hexdigest()
    return QueueItem(
        digest, f"file:///nowhere/{digest}", 96, 96, at, camera, "day", pick, 0.5, None, answers if answered else ()
    )


def samples_of(kept: QueueItem, reason: Reason) -> list[ReviewSample]:
    """What serving writes of a picture that it keeps, here for the challenger's answer."""
    answers = [answer for answer in kept.answers if answer.model_version == "v2"]
    return [
        ReviewSample(
            kept.captured_at, answer.request_id, "v2", "challenger", kept.camera, kept.picture_id, kept.picture_uri, 9,
            {reason: None}, 0.5,
        )
        for answer in answers
    ]  # fmt: skip


def row(
    at: datetime, whose: str, latency: tuple[float, float], camera: str, name: str, drawn: bool = True
) -> PredictionRow:
    version = "v1" if whose == "v1" else "v2"
    return PredictionRow(
        time=at,
        request_id=f"{at.isoformat()}-{name}",
        model_version=version,
        role="champion" if version == "v1" else "challenger",
        camera=camera,
        client="",
        shadow=whose == "shadow",
        drawn=drawn and whose != "shadow",
        latency_seconds=latency[version == "v2"],
        picture_id="0" * 64,
        picture_uri="",
        width_px=96,
        height_px=96,
        statistics=PictureStatistics(*(0.5 for _ in STATISTIC_NAMES)),
        scores=(),
        boxes_xywh_px=(),
    )
