"""Drawn streets as rows of the drift check: their picture statistics, a second apart; nobody looks for pedestrians there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from belisha.components.acquire.synthetic import StreetSettings, draw_street
from belisha.components.shared.drift_features import FEATURE_NAMES, FeatureRows
from belisha.components.shared.images import ImageArray
from belisha.components.shared.picture_statistics import picture_statistics
from tests.picture_changes import CHANGES

_BEGIN_US = 1_777_636_800_000_000


def streets(
    count: int, *, first: int = 0, condition: str = "day", cameras: int = 8, width_px: int = 640
) -> Iterator[ImageArray]:
    """Pictures of so many static cameras in turn, sequence by sequence."""
    settings = StreetSettings(
        pictures=count,
        seed=11,
        conditions=((condition, 1.0),),
        cameras=cameras,
        width_px=width_px,
        height_px=width_px * 3 // 5,
    )
    return (draw_street(settings, index).image_rgb for index in range(first, first + count))


def changed(images: Iterable[ImageArray], change: str, severity: int, seed: int = 0) -> Iterator[ImageArray]:
    """The same pictures after a change."""
    rng = np.random.default_rng([seed, severity])
    return (CHANGES[change](image, severity, rng) for image in images)


def rows_of(images: Iterable[ImageArray]) -> FeatureRows:
    """Their statistics; the predictions' are those of a picture without boxes."""
    statistics = np.array([picture_statistics(image).values() for image in images])
    values = np.zeros((len(statistics), len(FEATURE_NAMES)))
    values[:, : statistics.shape[1]] = statistics
    nothing = np.full(len(values), "", np.object_)
    time_us = _BEGIN_US + np.arange(len(values)) * 1_000_000
    return FeatureRows(time_us, nothing, values, np.zeros((len(values), 0)), nothing)


def mixed(clean: FeatureRows, affected: FeatureRows, share: float, rng: np.random.Generator) -> FeatureRows:
    """The clean rows with a random share of them replaced by the affected ones of the same pictures."""
    values = clean.values.copy()
    chosen = rng.permutation(len(values))[: round(share * len(values))]
    values[chosen] = affected.values[chosen]
    return FeatureRows(clean.time_us, clean.camera, values, clean.embeddings, clean.picture_uri)
