"""Distances against scipy's, and calibration against what independent and video-like numbers do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from belisha.components.drift.calibration import Comparison
from belisha.components.drift.distances import Distribution
from belisha.components.drift.embedding import EmbeddingDistribution
from belisha.components.drift.judging import StratumJudge, last_windows
from belisha.components.drift.settings import Correction, DriftSettings
from belisha.components.drift.textbook import corrected_p_values
from belisha.components.shared.errors import InputError
from tests.components.drift.drift_log import feature_rows, wandering

# Few different values, so that ties are everywhere.
columns = hnp.arrays(np.float64, st.integers(6, 40), elements=st.sampled_from([0.0, 0.5, 1.0, 1.5, 7.0, -2.0]))


@settings(deadline=None)
@given(columns, columns)
def test_the_distance_is_scipys(one: np.ndarray, other: np.ndarray) -> None:
    expected = stats.ks_2samp(one, other, method="asymp").statistic
    assert Distribution(one[:, None]).distances(other[:, None])[0] == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(columns, st.integers(1, 5), st.data())
def test_a_blocks_distance_is_scipys_to_all_the_rest(values: np.ndarray, length: int, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(values) - length))
    block, rest = values[begin : begin + length], np.delete(values, slice(begin, begin + length))
    found = Distribution(values[:, None]).block_distances(np.array([begin]), length)[0, 0]
    assert found == pytest.approx(stats.ks_2samp(block, rest, method="asymp").statistic, abs=1e-12)


def test_textbook_corrections_are_the_textbooks() -> None:
    rng = np.random.default_rng(0)
    reference, window = rng.normal(size=(500, 4)), rng.normal(size=(100, 4)) + np.array([0, 0.2, 0.8, 0])
    raw = [stats.ks_2samp(a, b, method="asymp").pvalue for a, b in zip(reference.T, window.T, strict=True)]
    bonferroni, _ = corrected_p_values(reference, window, Correction.BONFERRONI)
    adjusted, distances = corrected_p_values(reference, window, Correction.BH)
    assert bonferroni == pytest.approx(np.minimum(np.array(raw) * 4, 1))
    assert adjusted == pytest.approx(stats.false_discovery_control(raw))
    assert (adjusted <= bonferroni + 1e-15).all()
    assert distances.argmax() == 2


@pytest.mark.parametrize(("rho", "stride"), [(0.0, 1), (0.9, 22)])
def test_clean_windows_are_hardly_ever_flagged(rho: float, stride: int) -> None:
    flagged = windows = 0
    for seed in range(3):
        drawn = wandering(np.random.default_rng(seed), (3000 + 40 * 300) * stride, 15, rho)[::stride]
        judge = StratumJudge(feature_rows(drawn[:3000]), DriftSettings(), strata=1, with_embedding=False)
        findings = [judge.window(feature_rows(drawn[at : at + 300])) for at in range(3000, len(drawn), 300)]
        flagged += sum(finding.flagged for finding in findings)
        windows += len(findings)
    assert windows == 120
    assert flagged <= 4


def test_unthinned_video_makes_textbook_tests_fire_nearly_always() -> None:
    drawn = wandering(np.random.default_rng(0), 3000 + 20 * 300, 15, 0.9)
    p_values = [
        corrected_p_values(drawn[:3000], drawn[at : at + 300], Correction.BONFERRONI)[0].min()
        for at in range(3000, len(drawn), 300)
    ]
    assert sum(p < 0.05 for p in p_values) >= 19


def test_a_small_shift_in_two_features_is_found() -> None:
    rng = np.random.default_rng(1)
    shift = np.r_[0.5, 0.5, np.zeros(13)]
    judge = StratumJudge(feature_rows(rng.normal(size=(3000, 15))), DriftSettings(), strata=1, with_embedding=False)
    findings = [judge.window(feature_rows(rng.normal(size=(300, 15)) + shift)) for _ in range(10)]
    assert sum(finding.flagged for finding in findings) >= 9
    assert {feature.feature for feature in findings[0].flagged_features} == {"brightness", "contrast"}


def test_a_difference_that_is_certain_but_tiny_does_not_flag() -> None:
    """With ten thousand pictures a shift of a tenth of a spread is beyond doubt, and does not matter."""
    rng = np.random.default_rng(2)
    settings_ = DriftSettings(window_pictures=5000, min_reference_pictures=50_000)
    judge = StratumJudge(feature_rows(rng.normal(size=(50_000, 15))), settings_, strata=1, with_embedding=False)
    finding = judge.window(feature_rows(rng.normal(size=(5000, 15)) + 0.1))
    assert finding.features[0].score > finding.bound
    assert not finding.flagged


def test_a_constant_that_changes_flags() -> None:
    rng = np.random.default_rng(3)
    reference, window = rng.normal(size=(3000, 15)), rng.normal(size=(300, 15))
    reference[:, 8], window[:, 8] = 0.25, 0.06
    judge = StratumJudge(feature_rows(reference), DriftSettings(), strata=1, with_embedding=False)
    finding = judge.window(feature_rows(window))
    assert finding.features[0].feature == "megapixels"
    assert finding.features[0].effect_ratio == 1.0


def test_more_strata_raise_the_bound() -> None:
    comparison = Comparison(feature_rows(wandering(np.random.default_rng(4), 3000, 15, 0.5)), with_embedding=False)
    bounds = [
        comparison.calibrate(300, blocks=200, quantile_ratio=0.99, strata=strata).bound for strata in (1, 10, 100)
    ]
    assert bounds == sorted(bounds)
    assert bounds[2] > bounds[0]


def test_the_discrepancy_of_embeddings_tells_a_shift_from_none() -> None:
    rng = np.random.default_rng(5)
    reference = EmbeddingDistribution(rng.normal(size=(2000, 64)))
    same, moved = reference.distance(rng.normal(size=(300, 64))), reference.distance(rng.normal(0.5, 1, (300, 64)))
    assert same < 0.06
    assert moved > 3 * same
    blocks = reference.block_distances(np.arange(0, 1700, 100), 300)
    assert blocks.max() < 0.08


def test_constant_embeddings_have_no_distance() -> None:
    reference = EmbeddingDistribution(np.ones((500, 8)))
    assert reference.distance(np.ones((50, 8))) == pytest.approx(0, abs=1e-9)


def test_windows_are_counted_back_from_the_end() -> None:
    settings_ = DriftSettings(window_pictures=100, min_window_pictures=10, min_reference_pictures=300)
    rows = feature_rows(np.arange(250.0)[:, None])
    windows = last_windows(rows, settings_)
    assert [len(window) for window in windows] == [50, 100, 100]
    assert windows[-1].values[-1, 0] == 249
    assert [len(window) for window in last_windows(feature_rows(np.zeros((900, 1))), settings_)] == [100, 100, 100]


@pytest.mark.parametrize(
    "changes",
    [
        {"min_window_pictures": 400},
        {"min_reference_pictures": 800},
        {"flagged_windows": 4},
        {"quantile_ratio": 1.0},
        {"lookback_hours": 0},
        {"gap_seconds": -1.0},
        {"blocks": 10},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(InputError, match="cannot go by these settings"):
        DriftSettings(**changes)
