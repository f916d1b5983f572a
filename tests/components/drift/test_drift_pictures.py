"""Pictures that change, drawn and real: found in the first window; pictures that do not change are not."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from kfp import dsl

from belisha.components.drift.component import check_drift
from belisha.components.drift.examples import examples_of
from belisha.components.drift.judging import StratumJudge
from belisha.components.drift.settings import DriftSettings
from belisha.components.shared.drift_features import FEATURE_NAMES, FeatureRows, features_of, joined
from belisha.components.shared.drift_reference import Reference, Source, freeze
from belisha.components.shared.images import ImageArray
from belisha.components.shared.ledger import system_clock
from belisha.components.shared.picture_store import PictureStore
from belisha.components.shared.storage import join_uri, open_store
from bench import drift_scale
from bench.bench_drift import alerts_of, lower_bound, upper_bound
from tests.components.drift.drift_log import log_table, write_log
from tests.factories import encoded
from tests.picture_changes import CHANGES
from tests.serving_world import make_world
from tests.street_rows import changed, mixed, rows_of, streets

SETTINGS = DriftSettings(window_pictures=100, min_window_pictures=50, min_reference_pictures=600)


@pytest.fixture(scope="module")
def pictures() -> list[ImageArray]:
    return list(streets(1000, width_px=320))


@pytest.fixture(scope="module")
def rows(pictures: list[ImageArray]) -> FeatureRows:
    return rows_of(pictures)


@pytest.fixture(scope="module")
def judge(rows: FeatureRows) -> StratumJudge:
    return StratumJudge(rows.take(slice(0, 600)), SETTINGS, strata=1, with_embedding=False)


def test_held_out_blocks_of_the_same_streets_are_clean(judge: StratumJudge, rows: FeatureRows) -> None:
    flags = [judge.window(rows.take(slice(begin, begin + 100))).flagged for begin in range(600, 1000, 100)]
    assert flags == [False] * 4


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_all_pictures_is_found_in_the_first_window(
    judge: StratumJudge, pictures: list[ImageArray], change: str
) -> None:
    assert judge.window(rows_of(changed(pictures[600:700], change, 3))).flagged


def test_a_third_of_dark_pictures_is_found_and_a_few_are_not(
    judge: StratumJudge, pictures: list[ImageArray], rows: FeatureRows
) -> None:
    clean, dark = rows.take(slice(600, 700)), rows_of(changed(pictures[600:700], "night", 3))
    found = {share: judge.window(mixed(clean, dark, share, np.random.default_rng(0))).flagged for share in (0.02, 0.35)}
    assert found == {0.02: False, 0.35: True}


def test_a_drawn_night_is_found(judge: StratumJudge) -> None:
    finding = judge.window(rows_of(streets(100, condition="night", width_px=320)))
    assert finding.flagged
    assert {"brightness", "dark_ratio"} <= {feature.feature for feature in finding.flagged_features}


@pytest.mark.real_data
def test_a_real_night_is_found_and_the_same_day_is_not(real_data: Path) -> None:
    from bench.bench_drift import _cuts, _frames

    rng = np.random.default_rng(0)
    day, night = (_frames(real_data / "mot17mini", light) for light in ("day", "night"))
    judge = StratumJudge(rows_of(_cuts(day, 600, rng)), SETTINGS, strata=1, with_embedding=False)
    assert judge.window(rows_of(_cuts(night, 100, rng))).flagged
    assert not judge.window(rows_of(_cuts(day, 100, rng))).flagged


def test_the_step_shows_pictures_of_then_and_now(tmp_path: Path, pictures: list[ImageArray]) -> None:
    make_world(tmp_path, models=1, pictures=1)
    storage = str(tmp_path / "storage")
    store, now = open_store(storage), system_clock()
    kept = PictureStore(open_store(join_uri(storage, "pictures")))
    digest = kept.add(encoded(pictures[0]))
    reference = features_of(log_table(3000, seed=1, begin=now - timedelta(days=1)))
    reference.picture_uri[:1] = digest
    freeze(store, "v1", Reference(Source.LOG, 0.0, joined([reference])), now)
    dark = kept.add(encoded((pictures[0] // 4).astype(np.uint8)))
    table = log_table(600, seed=2, begin=now - timedelta(minutes=11), shift={"brightness": -4.0})
    place = table.column_names.index("picture_uri")
    uris = [kept.uri_of(dark) if number == 599 else "" for number in range(600)]
    write_log(store, table.set_column(place, table.field(place), [uris]))
    report, metrics = dsl.HTML(uri=str(tmp_path / "report.html")), dsl.Metrics(uri=str(tmp_path / "metrics"))
    assert check_drift.python_func(storage_uri=storage, report=report, metrics=metrics) == "drift"
    page = Path(report.path).read_text()
    assert len(re.findall("data:image/jpeg", page)) == 2
    assert metrics.metadata == {"windows_judged": 2.0, "windows_flagged": 2.0}


def test_pictures_that_are_gone_are_left_out(tmp_path: Path) -> None:
    rows = features_of(log_table(20, seed=1))
    rows.picture_uri[:] = [f"{tmp_path}/aa/{'a' * 64}"] * 10 + ["https://127.0.0.1:9/x"] * 5 + [""] * 5
    then, now = examples_of(
        rows.take(slice(15, 20)), rows.take(slice(0, 10)), FEATURE_NAMES.index("noise"), str(tmp_path)
    )
    assert then == now == []


def test_alerts_need_two_of_three_and_keep_a_cooldown() -> None:
    assert alerts_of([True, False, False, True]) == 0
    assert alerts_of([True, False, True]) == 1
    assert alerts_of([True] * 9) == 2
    assert upper_bound(0, 300) == pytest.approx(0.00994, abs=1e-4)
    assert lower_bound(300, 300) == pytest.approx(0.99006, abs=1e-4)


def test_the_scale_benchmark_reads_the_whole_log_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_scale, "ROWS", 27_000)
    monkeypatch.setattr(drift_scale, "CAMERAS", ("north", "south"))
    drift_scale._write(tmp_path)
    assert drift_scale._measured(drift_scale._POLARS, tmp_path)["rows"] == 27_000
    assert drift_scale._measured(drift_scale._CHECK, tmp_path)["rows"] == 2 * 900
