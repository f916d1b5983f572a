"""Strata: one camera by day or by night, as far as the reference has pictures enough; all other cameras together.

Day and night are told apart by the hour, never by the picture itself: a picture that has become dark must be compared with
what that hour used to look like. Which hours are dark, the reference says for each camera, so no time zone has to be set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.shared.drift_alert import ANY
from belisha.components.shared.drift_features import FEATURE_NAMES, FeatureRows
from belisha.components.shared.drift_reference import Reference, Source

DAY, NIGHT = "day", "night"
# Between the brightest and the darkest hour: with less there is no day and night, for instance under artificial light.
_LEAST_DIFFERENCE = 0.15
_HOUR_US = 3_600_000_000
_BRIGHTNESS = FEATURE_NAMES.index("brightness")

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, order=True)
class Stratum:
    """Pictures that are compared with each other: of a camera, by `day`, `night` or `any` light."""

    camera: str
    daylight: str

    @property
    def name(self) -> str:
        """As metrics and reports write it."""
        return f"{self.camera or 'unnamed'}/{self.daylight}"


@dataclass(frozen=True, slots=True)
class Strata:
    """How pictures are told apart.

    Attributes:
        dark_hours: of each camera that has a day and a night with pictures enough, `(24,)` whether an hour (UTC) is dark.
        alone: cameras that are compared with themselves.
        pooled: whether the reference has other cameras besides.
    """

    dark_hours: dict[str, BoolArray]
    alone: frozenset[str]
    pooled: bool

    def all(self) -> list[Stratum]:
        """Every stratum that the reference knows."""
        split = [Stratum(camera, light) for camera in self.dark_hours for light in (DAY, NIGHT)]
        whole = [Stratum(camera, ANY) for camera in self.alone - set(self.dark_hours)]
        return sorted([*split, *whole, *([Stratum(ANY, ANY)] if self.pooled else [])])

    def parted(self, rows: FeatureRows) -> Iterator[tuple[Stratum, FeatureRows]]:
        """The rows of each stratum, in the order of `all`; those of unknown cameras count among the pooled ones."""
        hours = hour_of(rows)
        cameras = rows.camera.astype(str) if len(rows) else np.zeros(0, str)
        for stratum in self.all():
            if stratum.camera == ANY:
                yield stratum, rows.take(np.flatnonzero(~np.isin(cameras, sorted(self.alone))))
                continue
            of_camera = cameras == stratum.camera
            if stratum.daylight != ANY:
                dark = self.dark_hours[stratum.camera][hours]
                of_camera &= dark if stratum.daylight == NIGHT else ~dark
            yield stratum, rows.take(np.flatnonzero(of_camera))

    def unknown_cameras(self, rows: FeatureRows) -> list[str]:
        """Cameras that nothing of the reference can judge."""
        return [] if self.pooled else sorted(set(rows.camera.tolist()) - self.alone)


def strata_of(reference: Reference, min_pictures: int) -> Strata:
    """Strata with at least `min_pictures` of the reference each; a training's cameras and hours are not those of production."""
    rows = reference.rows
    if reference.source is Source.TRAINING:
        return Strata({}, frozenset(), pooled=bool(len(rows)))
    names, counts = np.unique(rows.camera.astype(str), return_counts=True)
    # A camera that is called like the pool is put into it.
    alone = frozenset(names[counts >= min_pictures].tolist()) - {ANY}
    dark: dict[str, BoolArray] = {}
    for camera in sorted(alone):
        own = rows.take(np.flatnonzero(rows.camera == camera))
        dark_hours = dark_hours_of(own)
        at_night = int(dark_hours[hour_of(own)].sum())
        if min(at_night, len(own) - at_night) >= min_pictures:
            dark[camera] = dark_hours
    return Strata(dark, alone, pooled=bool(set(names.tolist()) - alone))


def dark_hours_of(rows: FeatureRows) -> BoolArray:
    """`(24,)` which hours (UTC) are dark: their median brightness lies below the middle of the brightest and the darkest.

    An hour without pictures is what the nearest hour with some is. Without a clear difference no hour is dark.
    """
    hours = hour_of(rows)
    known = np.unique(hours)
    medians = np.array([np.median(rows.values[hours == hour, _BRIGHTNESS]) for hour in known])
    if not len(known) or medians.max() - medians.min() < _LEAST_DIFFERENCE:
        return np.zeros(24, np.bool_)
    dark = medians < (medians.max() + medians.min()) / 2
    apart = np.abs(np.arange(24)[:, None] - known[None])
    return np.asarray(dark[np.minimum(apart, 24 - apart).argmin(axis=1)])


def hour_of(rows: FeatureRows) -> npt.NDArray[np.int64]:
    """`(n,)` hour of the day, UTC."""
    return rows.time_us // _HOUR_US % 24
