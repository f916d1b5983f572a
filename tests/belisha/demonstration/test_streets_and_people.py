"""New pictures of known streets, and those who know what is on them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from belisha.components.acquire.synthetic import draw_street, parse_synthetic_uri
from belisha.components.acquire.synthetic.folder import encode_jpeg
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.picture_store import PictureStore
from belisha.components.shared.progress import silent
from belisha.components.shared.review_queue import (
    Batch,
    Pick,
    QueueItem,
    batch_json,
    batch_records,
    reviewed_pictures,
)
from belisha.components.shared.storage import join_uri, open_store
from belisha.demonstration.people import ANNOTATOR, answer_all
from belisha.demonstration.streets import Frame, frames

SOURCE = "synthetic://streets?pictures=4&seed=7&width=320&height=192&conditions=day&pedestrians=2-4"


def test_frames_are_of_the_streets_but_not_of_the_set() -> None:
    shown, settings = list(frames(SOURCE, "night", 1000, 3)), parse_synthetic_uri(SOURCE)
    known = {sha256_hex(encode_jpeg(draw_street(settings, index).image_rgb, 90)) for index in range(4)}

    assert shown == list(frames(SOURCE, "night", 1000, 3)), "the same pictures every time"
    assert {frame.condition for frame in shown} == {"night"}
    assert not known & {frame.picture_id for frame in shown}
    assert all(frame.boxes and frame.camera.startswith("street7-") for frame in shown)


def hand_out(storage: str, shown: list[Frame]) -> None:
    pictures = PictureStore(open_store(join_uri(storage, "review/pictures")))
    now, items = datetime(2026, 5, 1, tzinfo=UTC), []
    for frame in shown:
        pictures.add(frame.data)
        uri = pictures.uri_of(frame.picture_id)
        items.append(QueueItem(frame.picture_id, uri, 320, 192, now, frame.camera, "night", Pick.UNIFORM, 1.0))
    batch_records(open_store(storage)).append(lambda _: batch_json(Batch(1, "key", "", now, now, now, tuple(items))))


def test_people_know_what_was_drawn(tmp_path: Path) -> None:
    storage = str(tmp_path / "storage")
    shown = list(frames(SOURCE, "night", 1000, 3))
    hand_out(storage, shown)

    said = answer_all(storage, {frame.picture_id: frame for frame in shown[:2]}, silent)
    assert "2 answers of 1 people on 2 pictures" in said
    reviewed = {one.item.picture_id: one for one in reviewed_pictures(open_store(storage))}
    assert set(reviewed) == {frame.picture_id for frame in shown[:2]}, "nobody can tell what is on the third"
    for frame in shown[:2]:
        assert len(reviewed[frame.picture_id].boxes) == len(frame.boxes)
        assert {box.annotator for box in reviewed[frame.picture_id].boxes} <= {"", ANNOTATOR}


def test_nothing_waits(tmp_path: Path) -> None:
    assert answer_all(str(tmp_path / "storage"), {}, silent) == "no picture waits for review"
