"""Handing out: one batch a request, no picture twice, and everything is told to the ledger once."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from belisha.components.review.choose import ChoiceSettings
from belisha.components.review.select import Selected, SelectSettings, select
from belisha.components.shared.drift_alert import DriftAlert, DriftedStratum
from belisha.components.shared.errors import InputError
from belisha.components.shared.ledger import Action, Ledger
from belisha.components.shared.progress import silent
from belisha.components.shared.review_queue import Pick, batch_json, parse_batch, read_batches, waiting_items
from belisha.components.shared.review_samples import Reason
from belisha.components.shared.storage import join_uri, open_store
from tests.components.review.queue_world import NOON, UNIFORM_RATIO, WINDOW, World, selected, small_world


def ledger_of(world: World) -> Ledger:
    return Ledger(open_store(join_uri(world.uri, "registry")))


def test_a_batch_has_what_people_and_judges_need(tmp_path: Path) -> None:
    world = World(tmp_path)
    undecided = world.keep(0)
    torn = world.keep(1, scores=(0.99, 0.98), challenger=(0.99,))
    plain = world.keep(2, scores=(0.99,), reasons={Reason.UNIFORM: UNIFORM_RATIO})
    world.log()
    found = selected(world)
    assert found.new
    assert found.batch is not None
    items = {item.picture_id: item for item in found.batch.items}
    assert {picture_id: item.pick for picture_id, item in items.items()} == {
        undecided: Pick.UNCERTAIN, torn: Pick.DISAGREEMENT, plain: Pick.UNIFORM,
    }  # fmt: skip
    assert items[plain].inclusion_probability == UNIFORM_RATIO
    assert [(answer.model_version, answer.shadow) for answer in items[torn].answers] == [("v1", False), ("v2", True)]
    assert items[torn].answers[0].boxes_xywh_px[0] == pytest.approx(
        [getattr(world.truth[torn][0], name) for name in ("x", "y", "width", "height")]
    )
    assert (items[undecided].width_px, items[undecided].condition, items[undecided].camera) == (320, "day", "north")
    assert parse_batch({**batch_json(found.batch), "number": found.batch.number}) == found.batch


def test_the_same_selection_twice_changes_nothing(tmp_path: Path) -> None:
    world = small_world(tmp_path)
    first, before = selected(world, 4), sorted(tmp_path.rglob("*.json"))
    second = selected(world, 4)
    assert (first.new, second.new) == (True, False)
    assert second.batch == first.batch
    assert sorted(tmp_path.rglob("*.json")) == before
    [record] = [one for one in ledger_of(world).records() if one.draft.action is Action.REVIEW]
    assert record.draft.details["kind"] == "requested"
    assert record.draft.details["pictures"] == 4
    assert len(record.draft.evidence_digest) == 64


def test_a_later_selection_gets_the_rest(tmp_path: Path) -> None:
    world = small_world(tmp_path, pictures=6)
    ids = [item.picture_id for key in "abc" for item in (selected(world, 4, key=key).batch or _none()).items]
    assert len(ids) == len(set(ids)) == 6
    last = selected(world, 4, key="d")
    assert last.batch is None
    assert "nothing was handed out" in last.sentence


def _none() -> object:
    return type("Empty", (), {"items": ()})()


def test_racing_selections_never_hand_out_a_picture_twice(tmp_path: Path) -> None:
    world = small_world(tmp_path, pictures=12)
    begin, found = threading.Barrier(4), []

    def ask(name: int) -> None:
        begin.wait()
        found.append(selected(world, 3, key=f"request {name}"))

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [item.picture_id for batch in read_batches(open_store(world.uri)) for item in batch.items]
    assert len(ids) == len(set(ids)) == 12
    assert sorted(one.batch.number for one in found) == [1, 2, 3, 4]
    assert len(ledger_of(world).records()) == 4


def test_racing_selections_of_one_key_are_one(tmp_path: Path) -> None:
    world = small_world(tmp_path, pictures=12)
    begin, found = threading.Barrier(4), []

    def ask() -> None:
        begin.wait()
        found.append(selected(world, 3, key="one cause"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.batch.number for one in found] == [1, 1, 1, 1]
    assert sum(one.new for one in found) == 1
    assert len(ledger_of(world).records()) == 1


def test_a_selection_killed_before_the_ledger_is_told_of_by_the_next(tmp_path: Path) -> None:
    world = small_world(tmp_path)
    selected(world, key="cause")
    for path in (tmp_path / "registry").rglob("*.json"):
        path.unlink()
    assert not selected(world, key="cause").new
    assert len(ledger_of(world).records()) == 1


def test_drift_asks_for_pictures_of_where_it_was_found(tmp_path: Path) -> None:
    world = World(tmp_path)
    for seed in range(8):
        world.keep(seed, camera="harbour" if seed >= 4 else "north", scores=(0.99,), reasons={Reason.PAIRED: 0.25})
    world.log()
    begin, end = NOON + timedelta(minutes=4), NOON + timedelta(minutes=8)
    stratum = DriftedStratum("harbour", "night", begin, end, 4)
    alert = DriftAlert("belisha", "v1", "d" * 64, begin, end, end, 2, 3, 1, (stratum,), (), "it is night")
    ledger_of(world).append(lambda _, state: alert.draft(state, "e" * 64))
    now = NOON + timedelta(days=10)
    found = _ask_at(world, now)
    # The window of a request that names none reaches back a day only; drift of ten days ago is over.
    assert found.batch is None
    found = _ask_at(world, NOON + timedelta(hours=1))
    assert found.batch is not None
    assert {(item.camera, item.pick) for item in found.batch.items} == {("harbour", Pick.DRIFTED)}


def _ask_at(world: World, now: object) -> Selected:
    return select(world.uri, "", SelectSettings(cause="drift"), silent, clock=lambda: now)  # type: ignore[arg-type,return-value]


def test_a_picture_whose_row_was_lost_can_still_be_drawn(tmp_path: Path) -> None:
    world = World(tmp_path)
    lost = world.keep(0, reasons={Reason.UNIFORM: UNIFORM_RATIO})
    found = selected(world)
    assert found.batch is not None
    [item] = found.batch.items
    assert (item.picture_id, item.answers, item.condition, item.width_px) == (lost, (), "", 320)


def test_a_picture_that_is_gone_or_damaged_is_passed_over(tmp_path: Path) -> None:
    world = World(tmp_path)
    gone, damaged, whole = (world.keep(seed) for seed in range(3))
    world.log()
    pictures = tmp_path / "review" / "pictures"
    (pictures / gone[:2] / gone).unlink()
    (pictures / damaged[:2] / damaged).write_bytes(b"no picture")
    found = selected(world)
    assert found.batch is not None
    assert [item.picture_id for item in found.batch.items] == [whole]
    assert found.batch.left_out == {"unreadable": 2}
    assert "2 gone or unreadable" in found.sentence


def test_what_waits_is_what_was_handed_out(tmp_path: Path) -> None:
    world = small_world(tmp_path)
    found = selected(world, 4)
    batches = read_batches(open_store(world.uri))
    assert found.waiting == len(waiting_items(batches, [])) == 4


def test_a_queue_that_nobody_works_on_does_not_grow_without_bound(tmp_path: Path) -> None:
    world = small_world(tmp_path, pictures=8)

    def ask(key: str) -> Selected:
        return select(world.uri, "", SelectSettings(key, "", *WINDOW, ChoiceSettings(4), max_waiting=6), silent)

    assert [len(ask(key).batch.items) for key in "ab"] == [4, 2]
    full = ask("c")
    assert full.batch is None
    assert "6 pictures wait and at most 6 may" in full.sentence
    assert ask("b").batch is not None


def test_a_pushgateway_out_of_reach_is_a_warning_for_the_batch_is_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELISHA_PUSHGATEWAY", "http://127.0.0.1:1")
    found = selected(small_world(tmp_path))
    assert found.new
    assert "did not take the metrics" in found.warning


def test_a_window_upside_down_is_refused(tmp_path: Path) -> None:
    settings = SelectSettings(begin=WINDOW[1], end=WINDOW[0], choice=ChoiceSettings(3))
    with pytest.raises(InputError, match="holds no time"):
        select(str(tmp_path), "", settings, silent)


_ASK = """
import sys
from tests.components.review.queue_world import World, selected
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
selected(World(sys.argv[1]), 4, key=sys.argv[2])
"""


def test_killed_and_racing_processes_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Four processes ask at once, two are killed somewhere on the way; asking again with the same keys completes all."""
    world = small_world(tmp_path / "storage", pictures=16)
    keys = [f"cause {number}" for number in range(4)]
    root = str(Path(__file__).parents[3])
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", _ASK, world.uri, key], cwd=root, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        for key in keys
    ]  # fmt: skip
    pauses = random.Random(0)
    try:
        for process in asking:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in asking:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in asking[:2]:
            time.sleep(pauses.uniform(0, 0.3))
            process.kill()
    finally:
        for process in asking:
            process.communicate(timeout=120)
    assert [process.returncode for process in asking[2:]] == [0, 0]
    for key in keys:
        selected(world, 4, key=key)
    batches = read_batches(open_store(world.uri))
    ids = [item.picture_id for batch in batches for item in batch.items]
    assert sorted(batch.key for batch in batches) == keys
    assert len(ids) == len(set(ids)) == 16
    assert len(ledger_of(world).records()) == 4
