"""Cars: boxes with a profile, seen in perspective, parked at the kerb or driving."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from belisha.components.acquire.synthetic.canvas import Colour, Frame, Shape, Sprite, draw_sprite
from belisha.components.acquire.synthetic.figure import scaled
from belisha.components.acquire.synthetic.world import View

_PAINTS: tuple[Colour, ...] = (
    (28, 30, 34), (84, 88, 94), (160, 164, 168), (224, 224, 222), (140, 28, 32), (34, 58, 112), (52, 84, 72), (176, 150, 96),
)  # fmt: skip
_GLASS: Colour = (52, 62, 72)
# Height of the roof line along the length, both as shares; from the tail to the nose.
_SALOON = (
    (0.0, 0.22),
    (0.0, 0.62),
    (0.06, 0.7),
    (0.2, 1.0),
    (0.55, 1.0),
    (0.7, 0.68),
    (0.97, 0.6),
    (1.0, 0.5),
    (1.0, 0.22),
)
_VAN = (
    (0.0, 0.18),
    (0.0, 0.98),
    (0.02, 1.0),
    (0.7, 1.0),
    (0.75, 0.97),
    (0.86, 0.6),
    (0.98, 0.52),
    (1.0, 0.45),
    (1.0, 0.18),
)


@dataclass(frozen=True, slots=True)
class Car:
    """A car: u of its middle, v of its middle, speed along u in m/s (0 when parked), whether its nose points to +u, a paint."""

    u: float
    v: float
    speed: float
    forward: bool
    van: bool
    paint: Colour


def random_cars(view: View, rng: np.random.Generator) -> list[Car]:
    """Parked at both kerbs, and now and then one that drives."""
    cars = []
    for side in (-1.0, 1.0):
        u = rng.uniform(2.5, 16.0)
        while u < 40 and rng.random() < 0.62:
            cars.append(_car(rng, u, side * (view.street.road - 1.0), 0.0))
            u += rng.uniform(5.4, 14.0)
    if rng.random() < 0.5:
        side = 1.0 if rng.random() < 0.5 else -1.0
        cars.append(_car(rng, rng.uniform(8, 35), side * view.street.road * 0.35, -side * rng.uniform(1.5, 5.0)))
    zebra = view.street.zebra_u
    return [car for car in cars if not zebra - 2.6 < car.u < zebra + 5.6]


def _car(rng: np.random.Generator, u: float, v: float, speed: float) -> Car:
    forward = speed > 0 if speed else v < 0
    paint = _PAINTS[int(rng.integers(0, len(_PAINTS)))]
    return Car(u, v, speed, forward, bool(rng.random() < 0.2), scaled(paint, rng.uniform(0.85, 1.1)))


def car_sprite(view: View, car: Car, seconds: float) -> Sprite | None:
    """A car as it stands at that time; None when it is behind the camera or too near to be drawn."""
    u = car.u + car.speed * seconds
    length, width, height = (5.2, 1.9, 2.2) if car.van else (4.3, 1.75, 1.48)
    profile = _VAN if car.van else _SALOON
    ahead = 1.0 if car.forward else -1.0
    side = np.array([(u + ahead * (along - 0.5) * length, up * height) for along, up in profile])
    near_v = car.v - math.copysign(width / 2, car.v - view.camera_v)
    far_v = 2 * car.v - near_v
    near = np.stack([side[:, 0], np.full(len(side), near_v), side[:, 1]], axis=1)
    far = np.stack([side[:, 0], np.full(len(side), far_v), side[:, 1]], axis=1)
    corners = view.to_camera(np.concatenate([near, far]))
    if corners[:, 2].min() < 2.5:
        return None
    depth = float(corners[:, 2].mean())
    pixels = view.to_pixels(corners)
    shapes = _strips(pixels, corners[:, 2], len(profile), car.paint) + _near_side(
        view, car, u, near_v, (length, height)
    )
    frame = Frame(view.width_px, view.height_px)
    feet = view.horizon_px + view.camera_height_m * view.focal_px / depth
    return draw_sprite(shapes, frame, depth_m=depth, feet_y=feet, kind="van" if car.van else "car")


def _strips(pixels: np.ndarray, depths: np.ndarray, count: int, paint: Colour) -> list[Shape]:
    """The car's skin between its two sides: tail, roof, windscreens, bonnet, nose; far to near."""
    found = []
    corner_px, corner_m = [(x, y) for x, y in pixels.tolist()], depths.tolist()
    for start in range(count - 1):
        corners = [start, start + 1, count + start + 1, count + start]
        colour = _GLASS if start in (2, 4) else scaled(paint, (0.8, 0.9, 1.0, 1.12, 1.0, 1.08, 0.95, 0.8)[start])
        found.append((sum(corner_m[at] for at in corners), Shape([corner_px[at] for at in corners], colour)))
    return [shape for _, shape in sorted(found, key=lambda item: -item[0])]


def _near_side(view: View, car: Car, u: float, v: float, size: tuple[float, float]) -> list[Shape]:
    length, height = size
    ahead = 1.0 if car.forward else -1.0

    def polygon(points: list[tuple[float, float]], colour: Colour) -> Shape:
        return Shape(
            view.outline([(u + ahead * (along - 0.5) * length, v, up * height) for along, up in points]), colour
        )

    lower = [(0.0, 0.22), (0.0, 0.6), (0.06, 0.68), (0.7, 0.66), (0.97, 0.58), (1.0, 0.5), (1.0, 0.22)]
    cabin = [(0.06, 0.66), (0.2, 1.0), (0.55, 1.0), (0.72, 0.65)]
    windows = [
        [(0.12, 0.69), (0.22, 0.94), (0.37, 0.94), (0.37, 0.69)],
        [(0.4, 0.69), (0.4, 0.94), (0.54, 0.94), (0.66, 0.69)],
    ]
    if car.van:
        lower = [(0.0, 0.18), (0.0, 0.6), (0.86, 0.6), (0.98, 0.52), (1.0, 0.45), (1.0, 0.18)]
        cabin = [(0.0, 0.58), (0.0, 0.98), (0.02, 1.0), (0.72, 1.0), (0.86, 0.58)]
        windows = [[(0.62, 0.62), (0.62, 0.9), (0.72, 0.9), (0.82, 0.62)]]
    shapes = [polygon(lower, car.paint), polygon(cabin, scaled(car.paint, 0.96))]
    shapes += [polygon(window, _GLASS) for window in windows]
    for centre in (0.2, 0.8):
        for radius, colour in ((0.32, (24, 24, 26)), (0.19, (128, 130, 132))):
            turns = [2 * math.pi * step / 12 for step in range(12)]
            rim = [(centre + radius * math.cos(t) / length, (0.32 + radius * math.sin(t)) / height) for t in turns]
            shapes.append(polygon(rim, colour))
    shapes.append(polygon([(0.97, 0.42), (0.97, 0.55), (1.0, 0.5), (1.0, 0.42)], (250, 246, 220)))
    return shapes


def headlights(view: View, car: Car, seconds: float) -> list[tuple[float, float, float]]:
    """[x, y, radius] in pixels of the headlights that shine towards the camera; empty when they point away."""
    u = car.u + car.speed * seconds
    nose = u + (2.15 if car.forward else -2.15)
    points = view.to_camera(np.array([[nose, car.v - 0.6, 0.62], [nose, car.v + 0.6, 0.62], [u, car.v, 0.62]]))
    if car.speed == 0 or points[:, 2].min() < 1.5 or points[0, 2] >= points[2, 2]:
        return []
    pixels = view.to_pixels(points[:2])
    return [
        (float(x), float(y), 0.9 * view.focal_px / float(z)) for (x, y), z in zip(pixels, points[:2, 2], strict=True)
    ]
