"""Cameras by day and night, and how far apart their pictures are taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from belisha.components.drift.freezing import autocorrelation, chosen_gap
from belisha.components.drift.strata import Stratum, dark_hours_of, strata_of
from belisha.components.shared.drift_features import FeatureRows, joined
from belisha.components.shared.drift_reference import Reference, Source
from tests.components.drift.drift_log import NOON, feature_rows, wandering

MIDNIGHT = NOON - timedelta(hours=12)
DARK = [0, 1, 2, 3, 4, 5, 21, 22, 23]


def days(camera: str, count: int, *, dark: float = 0.1, every_seconds: int = 300) -> FeatureRows:
    """Whole days of a camera: bright from 6 to 21 o'clock UTC."""
    rng = np.random.default_rng(0)
    seconds = np.arange(0, 86_400 * count, every_seconds)
    at_night = np.isin(seconds // 3600 % 24, DARK)
    values = np.where(at_night, dark, 0.5)[:, None] + rng.normal(0, 0.02, (len(seconds), 1))
    rows = feature_rows(values, camera=camera, begin=MIDNIGHT)
    return replace(rows, time_us=int(MIDNIGHT.timestamp() * 1e6) + seconds * 1_000_000)


def reference_of(*parts: FeatureRows, source: Source = Source.LOG) -> Reference:
    return Reference(source, 30.0, joined(parts))


def test_dark_hours_are_learned_from_the_reference() -> None:
    assert np.flatnonzero(dark_hours_of(days("north", 3))).tolist() == DARK
    assert not dark_hours_of(days("tunnel", 3, dark=0.45)).any()


def test_an_hour_without_pictures_is_like_the_nearest_one() -> None:
    rows = days("north", 3)
    hours = rows.time_us // 3_600_000_000 % 24
    assert np.flatnonzero(dark_hours_of(rows.take(~np.isin(hours, [0, 1, 12])))).tolist() == DARK


def test_cameras_with_pictures_enough_stand_alone_and_the_others_together() -> None:
    north, tunnel, rare, other = days("north", 5), days("tunnel", 2, dark=0.5), days("rare", 1), days("other", 1)
    strata = strata_of(reference_of(north, tunnel, rare, other), 500)
    named = [Stratum("any", "any"), Stratum("north", "day"), Stratum("north", "night"), Stratum("tunnel", "any")]
    assert strata.all() == named
    rows = joined([north, rare, days("never seen", 1)])
    parted = dict(strata.parted(rows))
    assert sum(map(len, parted.values())) == len(rows)
    assert set(parted[Stratum("any", "any")].camera) == {"rare", "never seen"}
    assert (
        parted[Stratum("north", "night")].values[:, 0].max() < 0.3 < parted[Stratum("north", "day")].values[:, 0].min()
    )
    assert not strata.unknown_cameras(rows)


def test_a_training_knows_neither_the_hours_nor_the_cameras_of_production() -> None:
    strata = strata_of(reference_of(days("north", 9), source=Source.TRAINING), 500)
    assert strata.all() == [Stratum("any", "any")]
    assert not strata.unknown_cameras(days("south", 1))


def test_a_camera_called_like_the_pool_is_put_into_it() -> None:
    strata = strata_of(reference_of(days("any", 5)), 500)
    assert strata.all() == [Stratum("any", "any")]


def test_a_reference_without_rows_has_no_strata() -> None:
    assert strata_of(reference_of(), 500).all() == []


@pytest.mark.parametrize(("rho", "step_seconds", "expected"), [(0.0, 1.0, 0.0), (0.9, 0.1, 5.0), (0.9999, 1.0, 30.0)])
def test_the_gap_makes_neighbours_independent(rho: float, step_seconds: float, expected: float) -> None:
    values = wandering(np.random.default_rng(0), 20_000, 3, rho)
    rows = feature_rows(values)
    spaced = int(NOON.timestamp() * 1e6) + np.round(np.arange(len(rows)) * step_seconds * 1e6).astype(np.int64)
    assert chosen_gap(replace(rows, time_us=spaced)) == expected


def test_cameras_in_turn_do_not_hide_that_each_repeats_itself() -> None:
    values = wandering(np.random.default_rng(0), 2000, 1, 0.95)
    parts = [feature_rows(values, camera="one"), feature_rows(values[::-1], camera="two")]
    assert autocorrelation(joined(parts)) > 0.9
    assert autocorrelation(feature_rows(values[:50])) == 1.0
