"""Pictures for review: drawn alike by both models, with known probabilities, within rate and quota, off the answer's path."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from belisha.components.serve.metrics import LeftOut
from belisha.components.serve.sampling import (
    Budget,
    CameraRate,
    PictureSampler,
    SamplingSettings,
    drawn_for,
    uncertainty,
)
from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.request_log import PredictionRow
from belisha.components.shared.review_samples import Reason, ReviewSample, bytes_kept, parse_sample, read_samples
from belisha.components.shared.storage import open_store
from tests.components.shared.test_request_log import row

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ALL = SamplingSettings(uniform_ratio=1.0, paired_ratio=1.0, uncertainty_at_least=2.0)
NONE = SamplingSettings(uniform_ratio=0.0, paired_ratio=0.0, uncertainty_at_least=2.0)
UNCERTAIN = replace(NONE, uncertainty_at_least=0.8)


class Told:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.kept: list[tuple[Sequence[str], int]] = []
        self.left_out: Counter[LeftOut] = Counter()

    def picture_kept(self, reasons: Sequence[str], size_bytes: int) -> None:
        self.kept.append((list(reasons), size_bytes))

    def picture_left_out(self, reason: LeftOut) -> None:
        self.left_out[reason] += 1


def answer(
    request_id: str, picture: bytes = b"p", scores: tuple[float, ...] = (), at: datetime = NOON, **values: object
) -> PredictionRow:
    """A row whose boxes have these scores."""
    sides = (1.0, 2.0, 3.0, 4.0) * len(scores)
    found = replace(row(at, request_id), picture_id=sha256_hex(picture), scores=scores, boxes_xywh_px=sides)
    return replace(found, **values)  # type: ignore[arg-type]


def wait_for(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


# --- what is drawn -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param((), 0.0, id="no box"),
        pytest.param((0.99, 0.95), 0.0, id="certain boxes alone"),
        pytest.param((0.5,), 1.0, id="the coin"),
        pytest.param((0.9, 0.3, 0.2), 0.6, id="the most undecided one counts"),
        pytest.param((0.1,), 0.2, id="lower end is inside"),
        pytest.param((0.6,), 0.8, id="upper end is inside"),
        pytest.param((0.0999, 0.6001), 0.0, id="just outside"),
    ],
)
def test_the_band_score(scores: tuple[float, ...], expected: float) -> None:
    assert uncertainty(scores) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_the_band_score_is_a_ratio_and_knows_no_order(scores: list[float]) -> None:
    assert 0 <= uncertainty(scores) <= 1
    assert uncertainty(scores) == uncertainty(scores[::-1])


def test_champion_and_shadow_draw_the_same_requests_uniformly() -> None:
    """Whatever each of them finds; and a shadow may be drawn as a pair besides."""
    settings = SamplingSettings(uniform_ratio=0.1, paired_ratio=0.3, uncertainty_at_least=2)
    drawn = {}
    for role, shadow, scores in (("champion", False, ()), ("challenger", True, (0.5,))):
        rows = [answer(f"r{index}", scores=scores, shadow=shadow, role=role) for index in range(4000)]
        drawn[role] = [drawn_for(one, settings) for one in rows]
    uniform = {role: [Reason.UNIFORM in reasons for reasons in found] for role, found in drawn.items()}
    assert uniform["champion"] == uniform["challenger"]
    assert binomtest(sum(uniform["champion"]), 4000, 0.1).pvalue > 1e-3
    paired = [Reason.PAIRED in reasons for reasons in drawn["challenger"]]
    assert binomtest(sum(paired), 4000, 0.3).pvalue > 1e-3
    assert not any(Reason.PAIRED in reasons for reasons in drawn["champion"])
    both = sum(one and other for one, other in zip(uniform["challenger"], paired, strict=True))
    assert binomtest(both, 4000, 0.03).pvalue > 1e-3, "the two draws are independent"
    assert {p for reasons in drawn["challenger"] for p in reasons.values()} == {0.1, 0.3}


def test_raising_a_share_only_adds() -> None:
    rows = [answer(f"r{index}") for index in range(1000)]
    few, many = (
        {one.request_id for one in rows if drawn_for(one, replace(NONE, uniform_ratio=share))} for share in (0.05, 0.2)
    )
    assert few < many


# --- rate and quota ----------------------------------------------------------------------------------------------------


def test_a_camera_gives_one_uncertain_picture_in_thirty_seconds() -> None:
    rate = CameraRate(30, cameras=2)
    taken = [(camera, at) for at in range(0, 70, 10) for camera in "ab" if rate.allows(camera, float(at))]
    assert taken == [("a", 0), ("b", 0), ("a", 30), ("b", 30), ("a", 60), ("b", 60)]
    assert rate.allows("c", 61.0)
    assert len(rate._last) == 2, "memory is bounded"


@given(st.lists(st.tuples(st.sets(st.sampled_from(list(Reason)), min_size=1), st.integers(0, 40), st.integers(0, 3))))
def test_no_day_spends_more_than_its_quota_whatever_comes(pictures: list[tuple[set[Reason], int, int]]) -> None:
    budget, spent = Budget(SamplingSettings(bytes_per_day=200, writers=2)), Counter[int]()
    for reasons, size_bytes, days in sorted(pictures, key=lambda item: item[2]):
        if budget.take(sorted(reasons), size_bytes, NOON + timedelta(days=days)):
            spent[days] += size_bytes
    assert all(total <= 100 for total in spent.values())


def test_uncertain_pictures_never_eat_the_uniform_share() -> None:
    budget = Budget(SamplingSettings(bytes_per_day=1000))
    taken = sum(bool(budget.take([Reason.UNCERTAIN], 100, NOON)) for _ in range(50))
    assert taken == 5
    assert budget.take([Reason.UNIFORM, Reason.UNCERTAIN], 100, NOON) == [Reason.UNIFORM]
    assert budget.take([Reason.UNCERTAIN], 100, NOON + timedelta(days=1)) == [Reason.UNCERTAIN]


def test_a_late_row_of_yesterday_does_not_open_todays_quota_again() -> None:
    budget = Budget(SamplingSettings(bytes_per_day=500))
    assert budget.take([Reason.UNIFORM], 100, NOON)
    assert not budget.take([Reason.UNIFORM], 100, NOON - timedelta(days=1))
    assert not budget.take([Reason.UNIFORM], 100, NOON)


# --- the sampler -------------------------------------------------------------------------------------------------------


def test_a_kept_picture_lies_where_the_log_says_with_a_record_beside(tmp_path: Path) -> None:
    told = Told()
    sampler = PictureSampler(str(tmp_path), replace(ALL, uncertainty_at_least=0.8), meter=told)
    uri = sampler.offer(
        answer("r1", b"picture", (0.9, 0.45), camera="north", shadow=True, role="challenger"), b"picture"
    )
    sampler.close()
    assert PictureReader().read(uri, sha256_hex(b"picture")) == b"picture"
    [sample] = read_samples(open_store(str(tmp_path)), NOON)
    assert (sample.picture_uri, sample.request_id, sample.camera, sample.size_bytes) == (uri, "r1", "north", 7)
    assert sample.probabilities == {Reason.UNIFORM: 1.0, Reason.PAIRED: 1.0, Reason.UNCERTAIN: None}
    assert sample.uncertainty == pytest.approx(0.9)
    assert told.kept == [(["uniform", "paired", "uncertain"], 7)]
    assert bytes_kept(open_store(str(tmp_path)), NOON) == 7


def test_both_models_keep_one_picture_and_a_record_each(tmp_path: Path) -> None:
    uris = set()
    for version in ("v1", "v2"):
        sampler = PictureSampler(str(tmp_path), ALL)
        uris.add(sampler.offer(answer("r1", b"picture", model_version=version), b"picture"))
        sampler.close()
    assert len(uris) == 1
    assert len(list((tmp_path / "review" / "pictures").rglob("*/*"))) == 1
    assert {sample.model_version for sample in read_samples(open_store(str(tmp_path)), NOON)} == {"v1", "v2"}


def test_what_is_not_drawn_costs_nothing(tmp_path: Path) -> None:
    told = Told()
    sampler = PictureSampler(str(tmp_path), NONE, meter=told)
    assert [sampler.offer(answer(f"r{index}", scores=(0.5,)), b"p") for index in range(50)] == [""] * 50
    sampler.close()
    assert (told.kept, told.left_out) == ([], Counter())
    assert not (tmp_path / "review").exists()


def test_rate_counts_a_camera_and_a_nameless_one_by_its_client(tmp_path: Path) -> None:
    told, now = Told(), [0.0]
    sampler = PictureSampler(str(tmp_path), replace(UNCERTAIN, writers=2), meter=told, monotonic=lambda: now[0])
    cameras = [("north", "x"), ("north", "y"), ("south", "x"), ("", "x"), ("", "y"), ("", "x")]

    def offered() -> list[bool]:
        rows = [answer(f"r{n}", scores=(0.5,), camera=c, client=k) for n, (c, k) in enumerate(cameras)]
        return [bool(sampler.offer(one, b"p")) for one in rows]

    assert offered() == [True, False, True, True, True, False]
    now[0] = 59.0
    assert offered() == [False] * 6, "two writers share the rate, so each waits twice as long"
    now[0] = 60.0
    assert offered() == [True, False, True, True, True, False]
    sampler.close()
    assert told.left_out == {LeftOut.CAMERA_RATE: 10}
    assert len(told.kept) == 8


def test_a_spent_quota_leaves_out_and_outlives_a_restart(tmp_path: Path) -> None:
    settings = replace(ALL, bytes_per_day=5_000)
    now = datetime.now(UTC)
    told = Told()
    sampler = PictureSampler(str(tmp_path), settings, meter=told)
    kept = [sampler.offer(answer(f"r{index}", at=now), b"p" * 100) for index in range(20)]
    sampler.close()
    assert sum(map(bool, kept)) == len(told.kept) == 10
    assert told.left_out == {LeftOut.QUOTA: 10}
    again = PictureSampler(str(tmp_path), settings, meter=told)
    assert again.offer(answer("first", at=now), b"p" * 100), "decided before the day's listing was there"
    wait_for(lambda: len(told.kept) == 11)
    later = [again.offer(answer(f"s{index}", at=now), b"p" * 100) for index in range(20)]
    again.close()
    assert sum(map(bool, later)) == 7, "a fifth of what was kept before counts against the uniform share"


def test_a_store_that_fails_is_counted_and_the_next_picture_is_tried(tmp_path: Path) -> None:
    told = Told()
    (tmp_path / "review").mkdir()
    (tmp_path / "review" / "pictures").write_text("a file in the way")
    sampler = PictureSampler(str(tmp_path), ALL, meter=told)
    for index in range(3):
        sampler.offer(answer(f"r{index}"), b"p")
    wait_for(lambda: told.left_out[LeftOut.STORE] == 3)
    (tmp_path / "review" / "pictures").unlink()
    sampler.offer(answer("r9"), b"p")
    sampler.close()
    assert [sample.request_id for sample in read_samples(open_store(str(tmp_path)), NOON)] == ["r9"]


def test_a_bounded_queue_never_waits_and_every_drawn_picture_is_kept_or_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    kept = PictureSampler._kept

    def slow(self: PictureSampler, sample: ReviewSample, picture: bytes) -> bool:
        gate.wait(30)
        return kept(self, sample, picture)

    monkeypatch.setattr(PictureSampler, "_kept", slow)
    told = Told()
    sampler = PictureSampler(str(tmp_path), replace(ALL, queue_pictures=10, queue_bytes=800), meter=told)

    def work(number: int) -> None:
        for index in range(25):
            sampler.offer(answer(f"{number}-{index}"), b"p" * 100)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.left_out[LeftOut.QUEUE_FULL] == 92, "eight fit into the bytes"
    gate.set()
    sampler.close()
    assert len(told.kept) == 8
    assert not sampler.offer(answer("late"), b"p")
    assert told.left_out[LeftOut.CLOSED] == 1


def test_closing_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(PictureSampler, "_kept", lambda *_: gate.wait(30))
    told = Told()
    sampler = PictureSampler(str(tmp_path), ALL, meter=told)
    for index in range(5):
        sampler.offer(answer(f"r{index}"), b"p")
    sampler.close(0.1)
    gate.set()
    assert told.left_out == {LeftOut.CLOSED: 5}


# --- the record --------------------------------------------------------------------------------------------------------


def sample_of(picture: bytes = b"p") -> ReviewSample:
    found = answer("r", picture)
    values = (
        found.request_id,
        "v1",
        "champion",
        "",
        found.picture_id,
        "file:///p",
        len(picture),
        {Reason.UNIFORM: 0.1},
    )
    return ReviewSample(NOON, *values, uncertainty=0.0)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"[]", id="no object"),
        pytest.param(lambda value: json.dumps({**value, "schema": "belisha.review_sample/9"}).encode(), id="version"),
        pytest.param(lambda value: json.dumps({**value, "probabilities": {"taste": 1}}).encode(), id="reason"),
        pytest.param(lambda value: json.dumps({**value, "time": "noon"}).encode(), id="time"),
        pytest.param(lambda value: json.dumps({**value, "mood": 1}).encode(), id="unknown field"),
    ],
)
def test_a_bad_record_is_one_sentence(change: Callable[[object], bytes]) -> None:
    with pytest.raises(ContractError, match="review sample"):
        parse_sample(change(json.loads(sample_of().to_bytes())), "file:///somewhere")


def test_a_record_is_read_back() -> None:
    assert parse_sample(sample_of().to_bytes(), "there") == sample_of()
