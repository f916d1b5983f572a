"""A small store as serving leaves it: kept pictures, their samples, and what two models said in the request log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from belisha.components.review.choose import ChoiceSettings
from belisha.components.review.select import Selected, SelectSettings, select
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.manifest import Box
from belisha.components.shared.picture_statistics import picture_statistics
from belisha.components.shared.picture_store import PictureStore
from belisha.components.shared.progress import silent
from belisha.components.shared.request_log import PredictionRow, encode_shard, shard_key
from belisha.components.shared.review_samples import Reason, ReviewSample
from belisha.components.shared.storage import join_uri, open_store
from tests.factories import encoded, street

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
WINDOW = (NOON, NOON + timedelta(hours=6))
UNIFORM_RATIO = 0.1


@dataclass(slots=True)
class World:
    """A storage folder or URI; `truth` has the drawn boxes of every picture by its id."""

    folder: Path | str
    truth: dict[str, tuple[Box, ...]] = field(default_factory=dict)
    rows: list[PredictionRow] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return str(self.folder)

    def keep(
        self,
        seed: int,
        *,
        minutes: float | None = None,
        camera: str = "north",
        reasons: dict[Reason, float | None] | None = None,
        scores: Sequence[float] = (0.9, 0.45),
        challenger: Sequence[float] | None = None,
        people: int = 2,
        data: bytes | None = None,
    ) -> str:
        """Keep one picture as serving does; the champion finds the first people with `scores`. Returns its id."""
        image_rgb, boxes = street(seed, people=people)
        data = data or encoded(image_rgb)
        image_rgb = decode_rgb(data)
        uri = join_uri(self.uri, "review", "pictures")
        picture_id = PictureStore(open_store(uri)).add(data)
        at = NOON + timedelta(minutes=seed if minutes is None else minutes)
        picture_uri = f"{uri}/{picture_id[:2]}/{picture_id}"
        found, size = _found(boxes, scores), image_rgb.shape[1::-1]
        row = PredictionRow(
            time=at, request_id=f"request-{seed}", model_version="v1", role="champion", camera=camera, client="client",
            shadow=False, drawn=True, latency_seconds=0.01, picture_id=picture_id, picture_uri=picture_uri,
            width_px=size[0], height_px=size[1], statistics=picture_statistics(image_rgb), **found,
        )  # fmt: skip
        self.rows.append(row)
        if challenger is not None:
            other = _found(boxes, challenger)
            self.rows.append(replace(row, model_version="v2", role="challenger", shadow=True, **other))
        sample = ReviewSample(
            at, row.request_id, "v1", "champion", camera, picture_id, picture_uri, len(data),
            reasons if reasons is not None else {Reason.UNCERTAIN: None}, 0.9,
        )  # fmt: skip
        open_store(self.uri).write(sample.key(), sample.to_bytes())
        self.truth[picture_id] = boxes
        return picture_id

    def log(self) -> None:
        """Write the rows as one shard an hour."""
        store = open_store(self.uri)
        for hour in sorted({row.time.replace(minute=0, second=0) for row in self.rows}):
            rows = [row for row in self.rows if row.time.replace(minute=0, second=0) == hour]
            store.write(shard_key(rows[0].time, "host-1", 1), encode_shard(rows))


def _found(boxes: Sequence[Box], scores: Sequence[float]) -> dict[str, tuple[float, ...]]:
    kept = list(zip(boxes, scores, strict=False))
    flat = tuple(float(value) for box, _ in kept for value in (box.x, box.y, box.width, box.height))
    return {"scores": tuple(scores[: len(kept)]), "boxes_xywh_px": flat}


def small_world(folder: Path | str, pictures: int = 6) -> World:
    """Undecided pictures of one camera, minutes apart."""
    world = World(folder)
    for seed in range(pictures):
        world.keep(seed)
    world.log()
    return world


def selected(world: World, pictures: int = 60, *, key: str = "") -> Selected:
    settings = SelectSettings(key, "", *WINDOW, ChoiceSettings(pictures))
    return select(world.uri, "", settings, silent)
