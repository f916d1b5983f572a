"""Who is on the street during a sequence, and where each of them walks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from belisha.components.acquire.synthetic.canvas import Frame, Placing, Sprite, draw_sprite
from belisha.components.acquire.synthetic.figure import Look, Pose, figure_shapes, random_look, random_pose
from belisha.components.acquire.synthetic.world import View

_STATURE_M = 1.7
# Heights of upright adults at a picture height of 384 pixels; larger pictures show them larger.
SMALLEST_PX, LARGEST_PX, REFERENCE_HEIGHT_PX = 15.0, 300.0, 384.0
_CANDIDATES = 96
_UMBRELLA_CHANCE = {"rain": 0.4}
_STRIDES_PER_METRE = 4.2


@dataclass(frozen=True, slots=True)
class Walker:
    """A person of a sequence.

    Attributes:
        look: build and clothes.
        u: position along the street in the middle of the sequence, metres.
        v: position across it.
        speed_u: metres per second.
        speed_v: metres per second.
        pose: of the middle of the sequence; the direction is set when drawn.
    """

    look: Look
    u: float
    v: float
    speed_u: float
    speed_v: float
    pose: Pose


def random_walkers(view: View, rng: np.random.Generator, count: int, condition: str) -> list[Walker]:
    """People on pavements, on the zebra crossing and now and then on the road; some walk side by side."""
    walkers: list[Walker] = []
    while len(walkers) < count:
        place = _place(view, rng)
        if place is None:
            break
        first = _walker(view, rng, *place, condition)
        walkers.append(first)
        while len(walkers) < count and rng.random() < 0.3:
            walkers.append(_companion(view, rng, first, condition))
    return walkers


def _place(view: View, rng: np.random.Generator) -> tuple[float, float] | None:
    """A place that the camera sees, chosen so that all heights in pixels occur; [u, v], or None when there is none."""
    unit = view.height_px / REFERENCE_HEIGHT_PX
    share = rng.beta(1.5, 1.3, _CANDIDATES)
    height_px = unit * SMALLEST_PX * (LARGEST_PX / SMALLEST_PX) ** share
    depth = view.focal_px * _STATURE_M / height_px
    right = (rng.uniform(-0.03, 1.03, _CANDIDATES) - 0.5) * view.width_px * depth / view.focal_px
    places = view.to_street(right, depth)
    u, away = places[:, 0], np.abs(places[:, 1])
    pavement = (away > view.street.road + 0.25) & (away < view.street.facade - 0.4)
    zebra = (away < view.street.road) & (u > view.street.zebra_u + 0.2) & (u < view.street.zebra_u + 2.8)
    road = (away < view.street.road - 0.3) & (rng.random(_CANDIDATES) < 0.12)
    feet = view.horizon_px + view.camera_height_m * view.focal_px / depth
    found = np.flatnonzero((pavement | zebra | road) & (feet < 1.22 * view.height_px))
    if not len(found):
        return None
    return float(places[found[0], 0]), float(places[found[0], 1])


def _walker(view: View, rng: np.random.Generator, u: float, v: float, condition: str) -> Walker:
    look = random_look(rng, umbrella_chance=_UMBRELLA_CHANCE.get(condition, 0.02))
    walking = rng.random() < 0.82
    speed = rng.uniform(0.8, 1.7) * (1.0 if walking else 0.0) * (1.0 if rng.random() < 0.5 else -1.0)
    drift = rng.uniform(-0.12, 0.12) * abs(speed)
    speed_u, speed_v = (drift, speed) if abs(v) < view.street.road else (speed, drift)
    pose = random_pose(rng, 0.0, 1.0, walking=walking)
    if not walking:
        turn = rng.uniform(0, 2 * math.pi)
        pose = replace(pose, forward_x=math.cos(turn), forward_z=math.sin(turn))
    return Walker(look, u, v, speed_u, speed_v, pose)


def _companion(view: View, rng: np.random.Generator, first: Walker, condition: str) -> Walker:
    beside = _walker(view, rng, first.u, first.v, condition)
    along, across = rng.uniform(-0.5, 0.5), rng.choice((-1, 1)) * rng.uniform(0.35, 0.7)
    if abs(first.speed_v) > abs(first.speed_u):
        along, across = across, along
    limit = view.street.facade - 0.35
    v = min(max(first.v + across, -limit), limit)
    return replace(beside, u=first.u + along, v=v, speed_u=first.speed_u, speed_v=first.speed_v)


def walker_sprite(view: View, walker: Walker, seconds: float) -> Sprite | None:
    """The person at that time; None when out of sight."""
    u, v = walker.u + walker.speed_u * seconds, walker.v + walker.speed_v * seconds
    right, depth = view.ground(u, v)
    if depth < 1.6:
        return None
    ahead = view.ground(u + walker.speed_u, v + walker.speed_v)
    pose = _at_time(walker, seconds, ahead[0] - right, ahead[1] - depth)
    scale = view.focal_px / depth
    stature_px = scale * walker.look.stature_m
    feet_y = view.horizon_px + view.camera_height_m * scale
    shapes = figure_shapes(walker.look, pose, fine=stature_px >= 45)
    placing = Placing(view.width_px / 2 + right * scale, feet_y, stature_px, -1.0)
    frame = Frame(view.width_px, view.height_px)
    return draw_sprite(
        shapes, frame, depth_m=depth, feet_y=feet_y, kind="pedestrian", placing=placing, texture=walker.look.texture
    )


def _at_time(walker: Walker, seconds: float, toward_x: float, toward_z: float) -> Pose:
    speed = math.hypot(toward_x, toward_z)
    if speed == 0:
        return walker.pose
    phase = walker.pose.phase + _STRIDES_PER_METRE / walker.look.stature_m * speed * seconds
    return replace(walker.pose, phase=phase, forward_x=toward_x / speed, forward_z=toward_z / speed)


def crowd_sprites(view: View, rng: np.random.Generator) -> list[Sprite]:
    """A far crowd, too small to tell one from another; empty when the street shows no such place."""
    depth = view.focal_px * _STATURE_M / (view.height_px / REFERENCE_HEIGHT_PX * rng.uniform(9, 13))
    side = 1.0 if rng.random() < 0.5 else -1.0
    middle = side * (view.street.road + view.street.pavement / 2)
    if abs(view.yaw) > 0.5:
        return []
    sprites = []
    for _ in range(int(rng.integers(8, 16))):
        look = random_look(rng, umbrella_chance=0.0)
        u = depth + rng.uniform(-2.5, 2.5)
        v = middle + rng.uniform(-0.5, 0.5) * view.street.pavement
        walker = Walker(look, u, v, float(rng.choice((-1.0, 1.0))), 0.0, random_pose(rng, 0.0, 1.0, walking=True))
        sprite = walker_sprite(view, walker, 0.0)
        if sprite is not None:
            sprites.append(sprite)
    return sprites
