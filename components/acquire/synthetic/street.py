"""One picture of a synthetic street with its labels, as a pure function of the settings and the picture's number."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from belisha.components.acquire.synthetic.canvas import CROWD, MAX_PEDESTRIANS, Canvas, Mask, Rectangle, Sprite
from belisha.components.acquire.synthetic.cars import Car, car_sprite, headlights, random_cars
from belisha.components.acquire.synthetic.people import Walker, crowd_sprites, random_walkers, walker_sprite
from belisha.components.acquire.synthetic.props import LOOK_ALIKES, dog_shapes, standing
from belisha.components.acquire.synthetic.settings import StreetSettings
from belisha.components.acquire.synthetic.weather import Setting, develop, light_up, setting_of
from belisha.components.acquire.synthetic.world import (
    View,
    captured_at,
    generator_of_picture,
    generator_of_sequence,
    moment_of,
    seconds_from_middle,
    view_of,
)
from belisha.components.shared.images import ImageArray
from belisha.components.shared.manifest import Box

# Below this share of the body's box in sight nobody could say that somebody stands there; the widest subset of the
# miss rate's benchmarks ("All") begins here too.
LEAST_VISIBLE_RATIO = 0.2
_NOBODY_CHANCE = 0.06
_CROWD_CHANCE = 0.14
_DOG_CHANCE = 0.3


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Something in the picture that resembles a pedestrian and is none: its kind, and x, y, width, height in pixels."""

    kind: str
    box_px: Rectangle


@dataclass(frozen=True, slots=True)
class StreetPicture:
    """A drawn picture and what is true of it.

    Attributes:
        image_rgb: `(height, width, 3)` uint8.
        boxes: pedestrians, nearest last, then crowds; inside the picture. `visible_ratio` is the area of the visible box over
            that of the whole body's box, which counts what is covered and what lies outside the picture. Who shows less
            than `LEAST_VISIBLE_RATIO`, and every crowd, is `ignore`; who shows nothing is left out.
        body_boxes_px: x, y, width, height of each box's whole body, also outside the picture; for a crowd what shows of it.
        visible_boxes_px: x, y, width, height of what shows of each, in the order of `boxes`.
        condition: one of `CONDITIONS`.
        camera: name of the camera.
        captured_at: a time that fits the condition.
        group_id: the sequence; its pictures show the same people.
        lookalikes: what resembles a pedestrian and is none.
        labels: `(height, width)` uint8: 0 ground, 254 crowd, 255 a thing, else 1 + the rank of the pedestrian by depth.
    """

    image_rgb: ImageArray
    boxes: tuple[Box, ...]
    body_boxes_px: tuple[Rectangle, ...]
    visible_boxes_px: tuple[Rectangle, ...]
    condition: str
    camera: str
    captured_at: datetime
    group_id: str
    lookalikes: tuple[LookAlike, ...]
    labels: Mask


@dataclass(frozen=True, slots=True)
class _Cast:
    """Who and what is in the street during a sequence."""

    walkers: list[Walker]
    crowd: list[Sprite]
    cars: list[Car]
    dog: tuple[Walker, int] | None


def draw_street(settings: StreetSettings, index: int) -> StreetPicture:
    """Draw picture `index`; the same settings and index give the same picture, whatever else was drawn before.

    Args:
        settings: what to draw; `pictures` and `jpeg_quality` have no influence.
        index: 0 or more.
    """
    moment = moment_of(settings, index)
    size = (settings.width_px, settings.height_px)
    view = view_of(settings.seed, moment.camera, *size)
    setting = setting_of(settings.seed, moment.camera, *size, moment.condition)
    cast = _cast_of(settings.seed, settings.pedestrians, moment.sequence, moment.condition, view)
    seconds = seconds_from_middle(settings, moment)
    canvas = setting.canvas()
    people, things = _people(cast, view, seconds), _things(cast, view, seconds)
    paint(canvas, people, [*things, *cast.crowd], setting.scenery)
    light_up(canvas, setting, [light for car in cast.cars for light in headlights(view, car, seconds)])
    image = develop(canvas.image, moment.condition, generator_of_picture(settings, index))
    found = [*_pedestrians(canvas, people), *_crowd(canvas, cast.crowd)]
    name = f"street{settings.seed}-camera{moment.camera:03d}"
    return StreetPicture(
        image_rgb=image,
        boxes=tuple(box for box, _, _ in found),
        body_boxes_px=tuple(body for _, body, _ in found),
        visible_boxes_px=tuple(visible for _, _, visible in found),
        condition=moment.condition,
        camera=name,
        captured_at=captured_at(settings, moment),
        group_id=f"{name}-sequence{moment.sequence:06d}",
        lookalikes=_lookalikes(setting, [*setting.scenery, *things]),
        labels=canvas.labels,
    )


@functools.lru_cache(maxsize=16)
def _cast_of(seed: int, pedestrians: tuple[int, int], sequence: int, condition: str, view: View) -> _Cast:
    rng = generator_of_sequence(seed, sequence)
    least, most = pedestrians
    count = int(rng.integers(least, most + 1))
    if least == 0 and rng.random() < _NOBODY_CHANCE:
        count = 0
    cars = random_cars(view, rng)
    walkers = random_walkers(view, rng, count, condition)
    crowd = crowd_sprites(view, rng) if most > 0 and rng.random() < _CROWD_CHANCE else []
    dog = None
    if rng.random() < _DOG_CHANCE:
        dog = next(((walker, int(rng.integers(0, 2**63))) for walker in random_walkers(view, rng, 1, condition)), None)
    return _Cast(walkers, crowd, cars, dog)


def _people(cast: _Cast, view: View, seconds: float) -> list[Sprite]:
    """Far to near; each one's rank + 1 is the label of its pixels."""
    sprites = [walker_sprite(view, walker, seconds) for walker in cast.walkers]
    found = sorted((sprite for sprite in sprites if sprite is not None), key=lambda sprite: -sprite.depth_m)
    return found[-MAX_PEDESTRIANS:]


def _things(cast: _Cast, view: View, seconds: float) -> list[Sprite]:
    moving = [car_sprite(view, car, seconds) for car in cast.cars]
    if cast.dog is not None:
        walker, seed = cast.dog
        shapes = dog_shapes(np.random.default_rng(seed), walker.pose.phase + 6 * seconds)
        moving.append(standing(view, walker.u + walker.speed_u * seconds, walker.v, shapes, "dog"))
    return [sprite for sprite in moving if sprite is not None]


def paint(canvas: Canvas, people: list[Sprite], things: Iterable[Sprite], scenery: Iterable[Sprite]) -> None:
    """Put people and things into the street, far to near.

    The canvas shows the scenery already: only what stands before something new is pasted again.
    """
    moving = [(sprite, rank + 1) for rank, sprite in enumerate(people)] + [(sprite, CROWD) for sprite in things]
    changed: list[Rectangle] = []
    for sprite, label in sorted([*moving, *((still, None) for still in scenery)], key=lambda item: -item[0].depth_m):
        if label is not None:
            canvas.stand(sprite, label)
            changed.append(canvas.reach(sprite))
        elif _meets(sprite.box, changed):
            canvas.paste(sprite)
            changed.append(sprite.box)


def _meets(box: Rectangle, others: list[Rectangle]) -> bool:
    left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    return any(x < right and left < x + width and y < bottom and top < y + height for x, y, width, height in others)


def _pedestrians(canvas: Canvas, people: list[Sprite]) -> list[tuple[Box, Rectangle, Rectangle]]:
    found = []
    for rank, sprite in enumerate(people):
        body = sprite.body_box
        visible = canvas.visible_box(rank + 1, sprite.box)
        if body is None or visible is None:
            continue
        ratio = visible[2] * visible[3] / (body[2] * body[3])
        found.append((_box(canvas, body, ratio, ignore=ratio < LEAST_VISIBLE_RATIO), body, visible))
    return found


def _crowd(canvas: Canvas, crowd: list[Sprite]) -> list[tuple[Box, Rectangle, Rectangle]]:
    if not crowd:
        return []
    height, width = canvas.labels.shape
    visible = canvas.visible_box(CROWD, (0, 0, width, height))
    return [(_box(canvas, visible, None, ignore=True), visible, visible)] if visible else []


def _box(canvas: Canvas, body: Rectangle, ratio: float | None, *, ignore: bool) -> Box:
    """The part of a body's box inside the picture, labelled."""
    height, width = canvas.labels.shape
    left, top = max(body[0], 0), max(body[1], 0)
    right, bottom = min(body[0] + body[2], width), min(body[1] + body[3], height)
    occlusion = "crowd" if ratio is None else _word(ratio)
    visible_ratio = None if ratio is None else math.floor(min(ratio, 1.0) * 1e4) / 1e4
    return Box(left, top, right - left, bottom - top, ignore, visible_ratio, occlusion, "drawn")


def _word(ratio: float) -> str:
    return "none" if ratio >= 0.9 else "partial" if ratio >= 0.65 else "heavy"


def _lookalikes(setting: Setting, things: Iterable[Sprite]) -> tuple[LookAlike, ...]:
    painted = [LookAlike(kind, box) for kind, box in setting.lookalikes]
    return (*painted, *(LookAlike(thing.kind, thing.box) for thing in things if thing.kind in LOOK_ALIKES))
