"""The loop: handed out, drawn on, taken back, and part of the next data set without moving anything old."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from belisha.components.acquire.acquire import acquire
from belisha.components.acquire.options import AcquireOptions
from belisha.components.review.export import ExportSettings, Format, export
from belisha.components.review.importing import ImportSettings, import_answers
from belisha.components.review.page import PageSettings, ReviewServer
from belisha.components.serve.request_log_writer import LogSettings, RequestLogWriter
from belisha.components.serve.sampling import PictureSampler, SamplingSettings
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.manifest import Picture, read_info, read_pictures
from belisha.components.shared.picture_statistics import picture_statistics
from belisha.components.shared.progress import silent
from belisha.components.shared.request_log import PredictionRow
from belisha.components.shared.review_queue import Pick
from belisha.components.shared.splits import Part
from belisha.components.shared.storage import join_uri, open_store
from belisha.components.split.options import parse_options
from belisha.components.split.split import split_dataset
from tests.components.review.queue_world import NOON, World, selected, small_world
from tests.factories import encoded, street

OLD_GROUPS, PER_GROUP = 12, 3


def old_source(folder: Path) -> list[bytes]:
    """Labelled pictures as COCO, in sequences; returns their bytes."""
    (folder / "pictures").mkdir(parents=True)
    images, annotations, found = [], [], []
    for number in range(OLD_GROUPS * PER_GROUP):
        image_rgb, boxes = street(1000 + number)
        found.append(encoded(image_rgb))
        (folder / "pictures" / f"{number:03d}.jpg").write_bytes(found[-1])
        group = f"walk-{number // PER_GROUP}"
        images.append({"id": number, "file_name": f"{number:03d}.jpg", "width": 320, "height": 240, "group_id": group})
        annotations += [
            {
                "id": 10 * number + place,
                "image_id": number,
                "category_id": 1,
                "bbox": [box.x, box.y, box.width, box.height],
            }
            for place, box in enumerate(boxes)
        ]
    categories = [{"id": 1, "name": "pedestrian"}]
    (folder / "labels.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return found


def made(folder: Path, storage: str, *sources: str) -> tuple[dict[str, Picture], dict[str, Part]]:
    """Acquire and split as the pipeline does: pictures and parts by id."""
    acquire(sources, folder / "data", join_uri(storage, "pictures"), AcquireOptions(), silent)
    options = parse_options("60/20/20", "belisha", folds=0, by_time=False, gap_seconds=60)
    split_dataset(folder / "data", folder / "split", options, join_uri(storage, "splits", "belisha"))
    pictures = {picture.image_id: picture for picture in read_pictures(folder / "data")}
    rows = pq.read_table(folder / "split" / "assignment.parquet", columns=["image_id", "part"]).to_pylist()
    return pictures, {row["image_id"]: Part(row["part"]) for row in rows}


def reviewed_by_label_studio(world: World, folder: Path, people: int) -> None:
    """Everybody accepts the models' boxes of every task."""
    export(world.uri, folder, ExportSettings(Format.LABEL_STUDIO, pictures=True, image_address="{file}"), silent)
    tasks = json.loads((folder / "tasks.json").read_text())
    for task in tasks:
        assert (folder / task["data"]["image"]).is_file()
        result = task["predictions"][0]["result"]
        task["annotations"] = [{"completed_by": f"person-{number}", "result": result} for number in range(people)]
    (folder / "export.json").write_text(json.dumps(tasks))
    import_answers(world.uri, ImportSettings([folder / "export.json"]), silent)


def test_reviewed_pictures_enter_the_next_data_set_and_nothing_old_moves(tmp_path: Path) -> None:
    storage = str(tmp_path / "storage")
    old = old_source(tmp_path / "old")
    before, parts_before = made(tmp_path / "first", storage, str(tmp_path / "old"))
    sealed = next(image_id for image_id, part in parts_before.items() if part is Part.TEST)
    [sealed_bytes] = [data for data in old if _id_of(data) == sealed]

    # Production: new pictures of two cameras, and one that happens to be a picture of the sealed test part.
    world = World(tmp_path / "storage")
    fresh = [
        world.keep(seed, camera=("north", "south")[seed % 2], minutes=45 * seed, scores=(0.5, 0.4)) for seed in range(8)
    ]
    world.keep(99, minutes=5, camera="north", scores=(0.5, 0.45), data=sealed_bytes)
    world.log()
    assert selected(world).batch is not None
    reviewed_by_label_studio(world, tmp_path / "tool", people=3)

    reviewed = join_uri(storage, "review", "dataset", "reviewed")
    after, parts_after = made(tmp_path / "second", storage, str(tmp_path / "old"), reviewed)
    assert {image_id: parts_after[image_id] for image_id in before} == parts_before
    assert parts_after[sealed] is Part.TEST
    assert set(after) - set(before) == set(fresh)
    for image_id in fresh:
        picture = after[image_id]
        assert picture.source == "reviewed"
        assert picture.group_id.startswith(f"reviewed/{picture.camera}@2026-05-01T")
        assert (picture.condition, picture.captured_at is not None) == ("day", True)
        assert {box.annotator for box in picture.boxes} == {"consensus of person-0, person-1, person-2"}
        truth = sorted((box.x, box.y) for box in world.truth[image_id])
        for box, wanted in zip(sorted((box.x, box.y) for box in picture.boxes), truth, strict=True):
            assert box == pytest.approx(wanted, abs=0.1)
    assert read_info(tmp_path / "second" / "data").details["sources"][1]["name"] == "reviewed"

    # The next round: more reviewed pictures of the same cameras. Whatever was there keeps its part.
    for seed in range(200, 206):
        world.keep(seed, camera="north", minutes=100 + seed, scores=(0.5, 0.4))
    world.rows = world.rows[-6:]
    world.log()
    found = selected(world, key="second").batch
    assert found is not None
    reviewed_by_label_studio(world, tmp_path / "tool2", people=1)
    last, parts_last = made(tmp_path / "third", storage, str(tmp_path / "old"), reviewed)
    assert len(last) == len(after) + 6
    assert {image_id: parts_last[image_id] for image_id in after} == parts_after
    by_group: dict[str, set[Part]] = {}
    for image_id, picture in last.items():
        by_group.setdefault(picture.group_id, set()).add(parts_last[image_id])
    assert all(len(parts) == 1 for parts in by_group.values())


def _id_of(data: bytes) -> str:
    return sha256_hex(data)


def test_disputed_boxes_reach_the_data_set_as_ignore_regions(tmp_path: Path) -> None:
    world = World(tmp_path / "storage")
    picture_id = world.keep(1, scores=(0.5, 0.45))
    world.log()
    selected(world)
    export(world.uri, tmp_path, ExportSettings(Format.LABEL_STUDIO), silent)
    [task] = json.loads((tmp_path / "tasks.json").read_text())
    result = task["predictions"][0]["result"]
    task["annotations"] = [
        {"completed_by": name, "result": result[:count]} for name, count in (("ada", 1), ("bob", 1), ("cyd", 2))
    ]
    (tmp_path / "export.json").write_text(json.dumps([task]))
    import_answers(world.uri, ImportSettings([tmp_path / "export.json"]), silent)
    source = join_uri(world.uri, "review", "dataset", "reviewed")
    acquire([source], tmp_path / "data", str(tmp_path / "pictures"), AcquireOptions(), silent)
    [picture] = read_pictures(tmp_path / "data")
    assert picture.image_id == picture_id
    assert sorted((box.ignore, box.occlusion) for box in picture.boxes) == [(False, ""), (True, "disputed")]


def test_a_round_on_a_bucket(s3_uri: str, tmp_path: Path) -> None:
    storage = f"{s3_uri}/belisha"
    world = small_world(storage, pictures=3)
    assert selected(world).batch is not None
    assert not selected(world).new
    desk = ReviewServer(storage, PageSettings(port=0)).desk
    for picture in desk.queue("ada")["pictures"]:
        assert desk.picture(picture["picture_id"]).startswith(b"\xff\xd8")
        boxes = [
            {**{name: box[name] for name in ("x", "y", "width", "height", "label")}} for box in picture["suggestions"]
        ]
        desk.save("ada", picture["picture_id"], {"boxes": boxes, "done": True, "revision": 0})
    assert import_answers(storage, ImportSettings(page=True), silent).waiting == 0
    acquire([f"{storage}/review/dataset/reviewed"], tmp_path / "data", f"{storage}/pictures", AcquireOptions(), silent)
    pictures = read_pictures(tmp_path / "data")
    assert {picture.image_id for picture in pictures} == set(world.truth)
    assert {(picture.source, len(picture.boxes)) for picture in pictures} == {("reviewed", 2)}


def test_what_serving_itself_keeps_is_handed_out(tmp_path: Path) -> None:
    """Through the sampler and the log writer of the predictors, two models answering every request."""
    uri = str(tmp_path / "storage")
    sampler = PictureSampler(uri, SamplingSettings(uniform_ratio=0.5, paired_ratio=1.0, seconds_between=0.0))
    log = RequestLogWriter(open_store(uri), LogSettings(shard_seconds=0.1))
    for seed in range(12):
        image_rgb, boxes = street(seed)
        picture = encoded(image_rgb)
        flat = tuple(float(value) for box in boxes for value in (box.x, box.y, box.width, box.height))
        for shadow, scores in ((False, (0.95, 0.9)), (True, (0.95,))):
            row = PredictionRow(
                time=NOON + timedelta(minutes=seed), request_id=f"request-{seed}", model_version="v2" if shadow else "v1",
                role="challenger" if shadow else "champion", camera="north", client="", shadow=shadow, drawn=False,
                latency_seconds=0.01, picture_id=sha256_hex(picture), picture_uri="", width_px=320, height_px=240,
                statistics=picture_statistics(image_rgb), scores=scores, boxes_xywh_px=flat[: 4 * len(scores)],
            )  # fmt: skip
            log.offer(replace(row, picture_uri=sampler.offer(row, picture)))
    sampler.close()
    log.close()
    found = selected(World(uri))
    assert found.batch is not None
    assert len(found.batch.items) == found.candidates == 12
    assert {item.pick for item in found.batch.items} == {Pick.UNIFORM, Pick.DISAGREEMENT}
    assert {item.inclusion_probability for item in found.batch.items if item.pick is Pick.UNIFORM} == {0.5}
    for item in found.batch.items:
        assert [(answer.model_version, len(answer.scores)) for answer in item.answers] == [("v1", 2), ("v2", 1)]
