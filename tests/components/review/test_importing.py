"""Taking answers back: all or nothing, once, from several people, and into the next data set."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from belisha.components.review import own_json
from belisha.components.review.dataset import group_of
from belisha.components.review.export import ExportSettings, Format, export
from belisha.components.review.importing import Imported, ImportSettings, import_answers
from belisha.components.review.report import write_import_report
from belisha.components.review.select import counts_by_pick
from belisha.components.review.status import metrics_of, queue_status
from belisha.components.shared.errors import ContractError, InputError, NoDataError
from belisha.components.shared.ledger import Action, Ledger
from belisha.components.shared.manifest import Box
from belisha.components.shared.progress import silent
from belisha.components.shared.review_queue import Method, Vote, read_imports, reviewed_pictures
from belisha.components.shared.review_samples import Reason
from belisha.components.shared.storage import join_uri, open_store
from tests.components.review.queue_world import World, selected, small_world

FALSE_BOX = Box(1, 1, 30, 70)


def answers(world: World, folder: Path, annotator: str, *, more: tuple[Box, ...] = (), shift_px: float = 0.0) -> Path:
    """A file in which a person draws the truth of every picture, a little shifted, and perhaps more."""
    votes = [
        Vote(
            picture_id,
            annotator,
            (*(Box(box.x + shift_px, box.y, box.width, box.height) for box in boxes), *more),
            seconds=5,
        )
        for picture_id, boxes in world.truth.items()
    ]
    path = folder / f"{annotator}.json"
    pictures = [own_json.answers_of(vote)["pictures"][0] for vote in votes]
    path.write_text(json.dumps({"schema": own_json.ANSWERS_SCHEMA, "annotator": annotator, "pictures": pictures}))
    return path


def taken(world: World, *files: Path, **options: Any) -> Imported:
    return import_answers(world.uri, ImportSettings(files, **options), silent)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = small_world(tmp_path / "storage", pictures=4)
    selected(world)
    return world


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_one_person_is_taken_as_is_and_said_so(world: World, tmp_path: Path) -> None:
    found = taken(world, answers(world, tmp_path, "ada"))
    assert "on 4 of them one person's boxes are taken as they are" in found.sentence
    assert {one.truth.method for one in found.reviewed} == {Method.ONE_ANNOTATOR}
    assert "no agreement to report" in found.agreement.sentence
    assert found.waiting == 0
    for one in reviewed_pictures(open_store(world.uri)):
        assert [(box.x, box.y) for box in one.boxes] == [(box.x, box.y) for box in world.truth[one.item.picture_id]]


def test_people_of_several_files_make_a_consensus_and_the_lone_box_is_disputed(world: World, tmp_path: Path) -> None:
    files = [answers(world, tmp_path, "ada", shift_px=-2), answers(world, tmp_path, "bob"),
             answers(world, tmp_path, "cyd", shift_px=2, more=(FALSE_BOX,))]  # fmt: skip
    found = taken(world, *files)
    assert {one.truth.method for one in found.reviewed} == {Method.CONSENSUS}
    for one in found.reviewed:
        settled = [box for box in one.boxes if not box.ignore]
        assert sorted((box.x, box.y) for box in settled) == sorted(
            (box.x, box.y) for box in world.truth[one.item.picture_id]
        )
        assert one.truth.disputed == 1
    assert found.to_json()["disputed_boxes"] == 4
    assert found.agreement.mean_f1 is not None
    assert "4 disputed boxes are ignore regions until an adjudicator decides" in found.sentence
    record = Ledger(open_store(join_uri(world.uri, "registry"))).records()[-1]
    assert record.draft.action is Action.REVIEW
    assert record.draft.details["annotators"] == ["ada", "bob", "cyd"]
    assert (record.draft.details["kind"], record.draft.details["votes"]) == ("imported", 12)


def test_people_who_come_later_are_counted_with_those_before(world: World, tmp_path: Path) -> None:
    taken(world, answers(world, tmp_path, "ada"))
    taken(world, answers(world, tmp_path, "bob"))
    found = taken(world, answers(world, tmp_path, "cyd", more=(FALSE_BOX,)))
    assert {one.truth.method for one in found.reviewed} == {Method.CONSENSUS}
    assert {one.truth.annotators for one in found.reviewed} == {("ada", "bob", "cyd")}
    assert len(read_imports(open_store(world.uri))) == 3


def test_an_adjudicator_settles_what_is_disputed(world: World, tmp_path: Path) -> None:
    files = [answers(world, tmp_path, name) for name in ("ada", "bob")]
    taken(world, *files, answers(world, tmp_path, "cyd", more=(FALSE_BOX,)))
    exported = export(world.uri, tmp_path / "out", ExportSettings(Format.JSON, disputed=True), silent)
    assert exported.pictures == 4
    [task, *_] = json.loads((tmp_path / "out" / "tasks.json").read_text())["pictures"]
    assert [(box["models"], box["score"]) for box in task["suggestions"]][-1] == (["disputed"], 0.5)
    found = taken(world, answers(world, tmp_path, "judge"), adjudicator=True)
    assert {one.truth.method for one in found.reviewed} == {Method.ADJUDICATED}
    assert queue_status(open_store(world.uri)).disputed_boxes == 0
    with pytest.raises(NoDataError, match="nothing to decide"):
        export(world.uri, tmp_path / "out", ExportSettings(disputed=True), silent)


def test_the_same_import_twice_changes_nothing(world: World, tmp_path: Path) -> None:
    path = answers(world, tmp_path, "ada")
    taken(world, path)
    before = everything(tmp_path / "storage")
    again = taken(world, path)
    assert (again.number, again.votes) == (None, ())
    assert "nothing new" in again.sentence
    assert everything(tmp_path / "storage") == before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(b"", "not readable as JSON", id="empty"),
        pytest.param(b"{", "not readable as JSON", id="cut"),
        pytest.param(b"[" * 100_000, "not readable as JSON", id="deep"),
        pytest.param(b"{}", "no export that we know", id="unknown"),
        pytest.param(b"\xff\xfe", "not readable as JSON", id="binary"),
        pytest.param(b"<x/>", "not CVAT", id="other XML"),
    ],
)
def test_a_bad_file_beside_a_good_one_writes_nothing(world: World, tmp_path: Path, damage: bytes, words: str) -> None:
    good, bad = answers(world, tmp_path, "ada"), tmp_path / "bad.json"
    bad.write_bytes(damage)
    before = everything(tmp_path / "storage")
    with pytest.raises(InputError, match=words) as error:
        taken(world, good, bad)
    assert "\n" not in str(error.value)
    assert everything(tmp_path / "storage") == before


def test_one_person_twice_on_one_picture_is_refused(world: World, tmp_path: Path) -> None:
    good, twin = answers(world, tmp_path, "ada"), tmp_path / "twin.json"
    twin.write_bytes(good.read_bytes())
    with pytest.raises(InputError, match="speaks 2 times"):
        taken(world, good, twin)


def test_nothing_handed_out_and_nothing_finished_are_said(tmp_path: Path) -> None:
    world = small_world(tmp_path / "storage", pictures=2)
    with pytest.raises(NoDataError, match="select"):
        taken(world, answers(world, tmp_path, "ada"))
    selected(world)
    with pytest.raises(NoDataError, match="no finished picture"):
        taken(world, page=True)
    with pytest.raises(InputError, match="cannot be read"):
        taken(world, tmp_path / "absent.json")


def test_racing_imports_all_count_and_the_data_set_has_them_all(world: World, tmp_path: Path) -> None:
    files = [answers(world, tmp_path, name) for name in ("ada", "bob", "cyd", "dan")]
    begin = threading.Barrier(4)

    def bring(path: Path) -> None:
        begin.wait()
        taken(world, path)

    threads = [threading.Thread(target=bring, args=(path,)) for path in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.truth.annotators for one in reviewed_pictures(open_store(world.uri))} == {("ada", "bob", "cyd", "dan")}
    labels = json.loads((tmp_path / "storage" / "review" / "dataset" / "reviewed" / "labels.json").read_text())
    assert {one["annotator"] for one in labels["annotations"]} == {"consensus of ada, bob, cyd, dan"}
    assert len(Ledger(open_store(join_uri(world.uri, "registry"))).records()) == 5


def test_an_import_killed_before_the_data_set_is_caught_up_with(world: World, tmp_path: Path) -> None:
    path = answers(world, tmp_path, "ada")
    taken(world, path)
    labels = tmp_path / "storage" / "review" / "dataset" / "reviewed" / "labels.json"
    whole = labels.read_bytes()
    labels.unlink()
    taken(world, path)
    assert labels.read_bytes() == whole


def test_a_reviewed_picture_that_was_cleared_away_is_a_warning_and_stops_nothing(world: World, tmp_path: Path) -> None:
    [gone, *_] = world.truth
    (tmp_path / "storage" / "review" / "pictures" / gone[:2] / gone).unlink()
    found = taken(world, answers(world, tmp_path, "ada"))
    assert "1 reviewed pictures are gone" in found.warning
    labels = json.loads((tmp_path / "storage" / "review" / "dataset" / "reviewed" / "labels.json").read_text())
    assert len(labels["images"]) == 3
    assert gone not in json.dumps(labels)


def test_live_quality_is_weighted_and_of_the_uniform_draw_alone(tmp_path: Path) -> None:
    world = World(tmp_path / "storage")
    for seed in range(40):
        uniform = seed < 20
        # The champion finds one of two people; on pictures that are not drawn uniformly it finds both.
        world.keep(seed, scores=(0.9,) if uniform else (0.5, 0.5), reasons={Reason.UNIFORM: 0.5} if uniform else None)
    world.log()
    batch = selected(world, 40).batch
    assert batch is not None
    assert counts_by_pick(batch)["uniform"] == 20
    [quality] = taken(world, answers(world, tmp_path, "ada")).quality
    assert (quality.model_version, quality.pictures) == ("v1", 20)
    assert quality.precision == pytest.approx(1)
    assert quality.recall == pytest.approx(0.5)
    assert quality.f1_interval is None  # too few to say how sure


def test_the_report_shows_agreement_and_boxes(world: World, tmp_path: Path) -> None:
    files = [
        answers(world, tmp_path, name, shift_px=shift) for name, shift in (("ada", 0), ("bob", 3), ("<b>cyd", 6))[:2]
    ]
    found = taken(world, *files, answers(world, tmp_path, "cyd", more=(FALSE_BOX,)))
    write_import_report(tmp_path / "report.html", found)
    html = (tmp_path / "report.html").read_text()
    assert html.count("data:image/jpeg") == 4
    for words in ("Krippendorff", "disputed", "ada", "data:image/svg+xml", "live traffic"):
        assert words in html
    assert "http://" not in html.replace("http://www.w3.org", "")


def test_status_and_metrics_follow(world: World, tmp_path: Path) -> None:
    store = open_store(world.uri)
    status = queue_status(store)
    assert (status.waiting, status.reviewed) == (4, 0)
    assert status.waiting_since == status.batches[0].created_at
    text = metrics_of(status, "belisha").exposition().decode()
    assert "belisha_review_queue_pictures 4.0" in text
    taken(world, answers(world, tmp_path, "ada"))
    status = queue_status(store)
    assert (status.waiting, status.reviewed, status.waiting_since, status.annotators) == (0, 4, None, ("ada",))
    assert "belisha_review_queue_oldest_timestamp_seconds 0.0" in metrics_of(status, "belisha").exposition().decode()
    json.dumps(status.to_json())


def test_a_damaged_record_is_a_sentence(world: World, tmp_path: Path) -> None:
    (tmp_path / "storage" / "review" / "batches" / "000001.json").write_text(
        '{"schema": "belisha.review_batch/1", "number": 1}'
    )
    with pytest.raises(ContractError, match="review batch 1 is damaged"):
        queue_status(open_store(world.uri))


def test_groups_are_one_cameras_clock_hour(world: World) -> None:
    [first, *_] = reviewed_items(world)
    assert group_of(first) == "north@2026-05-01T12"


def reviewed_items(world: World) -> list[Any]:
    batch = selected(world).batch
    assert batch is not None
    return list(batch.items)
