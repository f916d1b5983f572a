"""Cameras, sequences and perspective: where a picture is taken, and where a point of the street falls in it.

A street is described in metres: `u` along it, `v` across it, `h` above the ground. A camera stands at u = 0. Verticals stay
vertical (the horizon is shifted instead of tilting the lens), so a person's height in pixels follows from the feet alone:
`height_px = height_m / camera_height_m * (feet_y_px - horizon_px)`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from belisha.components.acquire.synthetic.settings import StreetSettings

Points = npt.NDArray[np.float64]

NEAR_M = 0.6
_PICTURE, _CAMERA, _SEQUENCE = 0, 1, 2
_SECONDS_BETWEEN_PICTURES = 0.8
_FIRST_DAY = datetime(2025, 3, 1, tzinfo=UTC)
_HOUR_OF = {"day": 10, "dusk": 18, "night": 22, "rain": 12, "fog": 7, "low_resolution": 14}
_GOLDEN_RATIO = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Street:
    """A street's cross-section in metres.

    Attributes:
        road: half the width of the road.
        pavement: width of each pavement; façades stand behind it.
        zebra_u: where the zebra crossing begins along the street.
    """

    road: float
    pavement: float
    zebra_u: float

    @property
    def facade(self) -> float:
        """Distance of the façades from the middle of the road."""
        return self.road + self.pavement


@dataclass(frozen=True, slots=True)
class View:
    """A static camera and the street it sees.

    Attributes:
        width_px: of its pictures.
        height_px: of its pictures.
        focal_px: focal length.
        horizon_px: row of the horizon.
        camera_height_m: above the ground.
        camera_v: position across the street.
        yaw: angle between the line of sight and the street's direction, towards positive v.
        street: what it looks at.
    """

    width_px: int
    height_px: int
    focal_px: float
    horizon_px: float
    camera_height_m: float
    camera_v: float
    yaw: float
    street: Street

    def to_camera(self, points_uvh: Points) -> Points:
        """`(n, 3)` [u, v, h] to `(n, 3)` [right, above the camera, depth] in metres."""
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        u, v = points_uvh[:, 0], points_uvh[:, 1] - self.camera_v
        return np.stack([v * cosine - u * sine, points_uvh[:, 2] - self.camera_height_m, u * cosine + v * sine], axis=1)

    def ground(self, u: float, v: float) -> tuple[float, float]:
        """[right, depth] in metres of a point on the ground; plain numbers, for one point."""
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        v -= self.camera_v
        return v * cosine - u * sine, u * cosine + v * sine

    def to_pixels(self, points_camera: Points) -> Points:
        """`(n, 3)` camera coordinates with depth > 0 to `(n, 2)` [x, y] in pixels."""
        scale = self.focal_px / points_camera[:, 2]
        x = self.width_px / 2 + points_camera[:, 0] * scale
        return np.stack([x, self.horizon_px - points_camera[:, 1] * scale], axis=1)

    def to_street(self, right_m: Points, depth_m: Points) -> Points:
        """Camera coordinates on the ground to `(n, 2)` [u, v]."""
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        u = depth_m * cosine - right_m * sine
        return np.stack([u, depth_m * sine + right_m * cosine + self.camera_v], axis=1)

    def outline(self, points_uvh: Sequence[tuple[float, float, float]]) -> list[tuple[float, float]]:
        """A polygon of the street in pixels, cut at the near plane; empty when it lies behind the camera.

        Plain numbers, since a street has thousands of polygons of four corners each.
        """
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        corners = [
            ((v - self.camera_v) * cosine - u * sine, h - self.camera_height_m, u * cosine + (v - self.camera_v) * sine)
            for u, v, h in points_uvh
        ]
        if min(corner[2] for corner in corners) < NEAR_M:
            corners = _cut_near(corners)
        centre, horizon, focal = self.width_px / 2, self.horizon_px, self.focal_px
        return [(centre + right * focal / depth, horizon - up * focal / depth) for right, up, depth in corners]


def _cut_near(corners: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    kept = []
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        if start[2] >= NEAR_M:
            kept.append(start)
        if (start[2] >= NEAR_M) != (end[2] >= NEAR_M):
            share = (NEAR_M - start[2]) / (end[2] - start[2])
            kept.append((start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share, NEAR_M))
    return kept


@dataclass(frozen=True, slots=True)
class Moment:
    """Where and when picture `index` is taken.

    Attributes:
        camera: number of the camera.
        sequence: number of the sequence; all its pictures share camera, condition and people.
        frame: number of the picture within the sequence.
        condition: of the sequence.
    """

    camera: int
    sequence: int
    frame: int
    condition: str


def generator_of_picture(settings: StreetSettings, index: int) -> np.random.Generator:
    """Randomness of one picture alone: sensor noise, exposure, rain."""
    return np.random.default_rng(np.random.SeedSequence((settings.seed, index, _PICTURE)))


def generator_of_sequence(seed: int, sequence: int) -> np.random.Generator:
    """Randomness that the pictures of a sequence share: people, cars, weather."""
    return np.random.default_rng(np.random.SeedSequence((seed, sequence, _SEQUENCE)))


def generator_of_camera(seed: int, camera: int) -> np.random.Generator:
    """Randomness that the pictures of a camera share: the street and what stands there for good."""
    return np.random.default_rng(np.random.SeedSequence((seed, camera, _CAMERA)))


def moment_of(settings: StreetSettings, index: int) -> Moment:
    """Camera, sequence and condition of a picture; they depend on the index, never on how many are drawn."""
    sequence, frame = divmod(index, settings.pictures_per_sequence)
    # Multiples of the golden ratio fill 0..1 evenly, so that even a few sequences come near the shares asked for.
    place = (sequence * _GOLDEN_RATIO + 0.5 * _GOLDEN_RATIO) % 1.0
    shares = np.cumsum([share for _, share in settings.conditions])
    condition = settings.conditions[min(int(np.searchsorted(shares, place, side="right")), len(shares) - 1)][0]
    return Moment(sequence % settings.cameras, sequence, frame, condition)


def captured_at(settings: StreetSettings, moment: Moment) -> datetime:
    """A time that fits the condition; sequences of one camera are days apart."""
    day = _FIRST_DAY + timedelta(days=moment.sequence // settings.cameras)
    start = day + timedelta(hours=_HOUR_OF[moment.condition], minutes=moment.camera % 60)
    return start + timedelta(seconds=_SECONDS_BETWEEN_PICTURES * moment.frame)


def seconds_from_middle(settings: StreetSettings, moment: Moment) -> float:
    """Time of the picture relative to the middle of its sequence, in seconds."""
    return _SECONDS_BETWEEN_PICTURES * (moment.frame - (settings.pictures_per_sequence - 1) / 2)


@functools.lru_cache(maxsize=1024)
def view_of(seed: int, camera: int, width_px: int, height_px: int) -> View:
    """The camera of that number; another picture size shows the same street."""
    rng = generator_of_camera(seed, camera)
    road, pavement = rng.uniform(2.8, 4.8), rng.uniform(2.4, 4.4)
    across = rng.random() < 0.35
    yaw = rng.uniform(0.9, 1.4) if across else rng.uniform(-0.12, 0.45)
    # Looking across, it hangs at the façade; looking along, anywhere above road and pavement.
    camera_v = -(road + pavement) + 0.4 if across else rng.uniform(-road - 0.6 * pavement, 0.4 * road)
    mirrored = rng.random() < 0.5
    side = -1.0 if mirrored else 1.0
    field_of_view = rng.uniform(0.85, 1.15)
    return View(
        width_px=width_px,
        height_px=height_px,
        # Fixed to the height, so that a wider picture sees more street instead of a larger one.
        focal_px=height_px * (5 / 3) / (2 * math.tan(field_of_view / 2)),
        horizon_px=height_px * rng.uniform(0.24, 0.42),
        camera_height_m=float(rng.choice((rng.uniform(1.6, 2.4), rng.uniform(2.4, 4.2)))),
        camera_v=side * camera_v,
        yaw=side * yaw,
        street=Street(road, pavement, rng.uniform(6.0, 14.0)),
    )
