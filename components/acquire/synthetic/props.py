"""What stands and drives in a street and is no pedestrian: occluders, and look-alikes that a detector must leave alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from belisha.components.acquire.synthetic.canvas import Colour, Frame, Placing, Shape, Sprite, draw_sprite
from belisha.components.acquire.synthetic.figure import (
    Look,
    figure_shapes,
    monochrome,
    random_look,
    random_pose,
    scaled,
)
from belisha.components.acquire.synthetic.world import View

# Kinds that a detector may take for people; tests hold that none of them is ever labelled.
LOOK_ALIKES = frozenset(
    {"beacon", "dog", "hydrant", "lamp", "mannequin", "pole", "poster", "statue", "traffic_light", "tree"}
)
_PAINTS: tuple[Colour, ...] = (
    (32, 34, 38), (90, 94, 100), (176, 180, 184), (228, 228, 226), (150, 30, 34), (36, 62, 120), (60, 92, 78), (196, 164, 80),
)  # fmt: skip
Maker = Callable[[np.random.Generator], list[Shape]]


def rectangle(left: float, bottom: float, width: float, height: float, colour: Colour) -> Shape:
    """An upright rectangle with y up."""
    right, top = left + width, bottom + height
    return Shape([(left, bottom), (right, bottom), (right, top), (left, top)], colour)


def disc(x: float, y: float, radius: float, colour: Colour, corners: int = 12) -> Shape:
    """A circle."""
    turns = [2 * math.pi * step / corners for step in range(corners)]
    return Shape([(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns], colour)


def standing(view: View, u: float, v: float, shapes: Sequence[Shape], kind: str, *, texture: int = 0) -> Sprite | None:
    """Shapes in metres (x right, y up) set up at [u, v], facing the camera; None when that is out of sight."""
    right, depth = view.ground(u, v)
    if depth < 1.2 or not shapes:
        return None
    scale = view.focal_px / depth
    placing = Placing(view.width_px / 2 + right * scale, view.horizon_px + view.camera_height_m * scale, scale, -1.0)
    frame = Frame(view.width_px, view.height_px)
    return draw_sprite(shapes, frame, depth_m=depth, feet_y=placing.y, kind=kind, placing=placing, texture=texture)


def scenery_of(view: View, rng: np.random.Generator) -> tuple[Sprite, ...]:
    """Everything that stands in a camera's street for good, far to near."""
    sprites: list[Sprite | None] = []
    for side in (-1.0, 1.0):
        sprites += _kerb_side(view, rng, side)
        for u in (view.street.zebra_u, view.street.zebra_u + 3.0):
            sprites.append(standing(view, u, side * (view.street.road + 0.35), _beacon(), "beacon"))
    found = [sprite for sprite in sprites if sprite is not None and _keeps_the_view(view, sprite)]
    return tuple(sorted(found, key=lambda sprite: -sprite.depth_m))


def _keeps_the_view(view: View, sprite: Sprite) -> bool:
    return bool(sprite.rgba.shape[1] < 0.4 * view.width_px)


def _kerb_side(view: View, rng: np.random.Generator, side: float) -> list[Sprite | None]:
    """Props along a kerb, some on the inner side of the pavement."""
    sprites: list[Sprite | None] = []
    names = list(_MAKERS)
    chances = np.array([_MAKERS[name][0] for name in names])
    u = rng.uniform(-14, -8)
    while u < 55:
        name = names[int(rng.choice(len(names), p=chances / chances.sum()))]
        inner = name in ("statue", "bin", "shelter") and rng.random() < 0.6
        offset = view.street.pavement - 0.6 if inner else rng.uniform(0.3, 0.6)
        place = (u, side * (view.street.road + offset))
        if not view.street.zebra_u - 1 < u < view.street.zebra_u + 4:
            sprites.append(standing(view, *place, _MAKERS[name][1](rng), name))
        u += rng.uniform(3.0, 8.0)
    return sprites


def lamp_places(view: View) -> list[tuple[float, float]]:
    """[u, v] of the street lamps."""
    v = view.street.road + 0.5
    return [(u, side * v) for side, start in ((-1.0, -12.0), (1.0, -5.0)) for u in np.arange(start, 60, 14.0).tolist()]


def lamp_posts(view: View) -> tuple[Sprite, ...]:
    """The posts of the street lamps."""
    shapes = [rectangle(-0.07, 0, 0.14, 5.6, (72, 76, 80)), rectangle(-0.25, 5.5, 0.5, 0.14, (92, 96, 98))]
    posts = [standing(view, u, v, shapes, "lamp") for u, v in lamp_places(view)]
    return tuple(post for post in posts if post is not None)


def _pole(rng: np.random.Generator) -> list[Shape]:
    width, height = rng.uniform(0.1, 0.3), rng.uniform(1.7, 4.0)
    grey = rng.uniform(60, 150)
    post = rectangle(-width / 2, 0, width, height, (grey, grey, grey * 1.02))
    if rng.random() < 0.5:
        return [post]
    return [post, disc(0, height, 0.32, (200, 60, 50)), disc(0, height, 0.24, (235, 232, 228))]


def _beacon() -> list[Shape]:
    bands = [
        rectangle(-0.06, 0.3 * step, 0.12, 0.31, (235, 235, 232) if step % 2 else (38, 38, 40)) for step in range(8)
    ]
    return [*bands, disc(0, 2.6, 0.2, (236, 150, 40)), disc(-0.05, 2.66, 0.1, (250, 190, 90))]


def _traffic_light(rng: np.random.Generator) -> list[Shape]:
    lit = int(rng.integers(0, 3))
    colours: tuple[Colour, ...] = ((230, 50, 40), (240, 170, 40), (60, 210, 110))
    lamps = [
        disc(0, 2.95 - 0.3 * step, 0.11, colour if step == lit else scaled(colour, 0.25))
        for step, colour in enumerate(colours)
    ]
    return [rectangle(-0.06, 0, 0.12, 2.2, (70, 72, 74)), rectangle(-0.18, 2.1, 0.36, 1.0, (30, 32, 32)), *lamps]


def _tree(rng: np.random.Generator) -> list[Shape]:
    trunk, crown, height = rng.uniform(0.12, 0.26), rng.uniform(0.9, 1.7), rng.uniform(2.0, 3.2)
    green = np.array([rng.uniform(50, 110), rng.uniform(85, 130), rng.uniform(35, 70)])
    brown = (rng.uniform(70, 105), rng.uniform(56, 80), 48.0)
    shapes = [
        rectangle(-trunk, 0, 2 * trunk, height, brown),
        rectangle(-trunk, 0, 0.6 * trunk, height, scaled(brown, 0.75)),
    ]
    for step in range(26):
        turn, reach = rng.uniform(0, 2 * math.pi), crown * math.sqrt(rng.random())
        y = height + 0.8 * crown + reach * math.sin(turn) * 0.9
        red, blue_green, blue = (green * (0.7 + 0.45 * step / 26) * rng.uniform(0.9, 1.1)).tolist()
        shapes.append(
            disc(reach * math.cos(turn), y, crown * rng.uniform(0.2, 0.42), (red, blue_green, blue), corners=9)
        )
    return shapes


def _bin(rng: np.random.Generator) -> list[Shape]:
    paint = _paint(rng)
    return [
        rectangle(-0.28, 0, 0.56, 0.95, paint),
        rectangle(-0.32, 0.9, 0.64, 0.14, scaled(paint, 0.7)),
        rectangle(-0.16, 0.72, 0.32, 0.09, (20, 20, 20)),
    ]


def _hydrant(rng: np.random.Generator) -> list[Shape]:
    red: Colour = (rng.uniform(150, 210), 45, 40) if rng.random() < 0.6 else (205, 180, 60)
    return [
        rectangle(-0.13, 0, 0.26, 0.62, red), rectangle(-0.24, 0.36, 0.48, 0.13, scaled(red, 0.85)),
        rectangle(-0.19, 0, 0.38, 0.08, scaled(red, 0.7)), disc(0, 0.64, 0.14, scaled(red, 1.1)),
    ]  # fmt: skip


def _statue(rng: np.random.Generator) -> list[Shape]:
    stone: Colour = (152, 156, 148) if rng.random() < 0.5 else (86, 104, 94)
    pedestal = rng.uniform(0.8, 1.4)
    block = scaled(stone, 0.9)
    stature = rng.uniform(1.6, 2.1)
    return [
        rectangle(-0.5, 0, 1.0, pedestal, block), rectangle(-0.6, 0, 1.2, 0.2, scaled(block, 0.85)),
        rectangle(-0.56, pedestal - 0.14, 1.12, 0.14, scaled(block, 1.08)),
        *_person(rng, lambda look: replace(monochrome(look, stone), stature_m=stature), lift=pedestal),
    ]  # fmt: skip


def _shelter(rng: np.random.Generator) -> list[Shape]:
    """A bus stop: a roof on posts, and a lit panel with a poster of a person."""
    frame: Colour = (58, 62, 66)
    posts = [rectangle(x, 0, 0.09, 2.4, frame) for x in (-1.6, -0.45, 1.5)]
    return [*poster_shapes(rng, -1.55, 0.35), *posts, rectangle(-1.8, 2.35, 3.6, 0.16, frame)]


def poster_shapes(rng: np.random.Generator, left: float, bottom: float) -> list[Shape]:
    """A panel of 1.1 x 1.75 m that shows a person down to the waist."""
    ground = _paint(rng)
    person = [
        Shape([(x + left + 0.55, min(max(y, bottom + 0.08), bottom + 1.68)) for x, y in shape.outline], shape.colour)
        for shape in _person(rng, lambda look: replace(look, bag="", umbrella=None, stature_m=2.1), lift=bottom - 0.75)
        if max(y for _, y in shape.outline) > bottom + 0.1
    ]
    border = rectangle(left, bottom, 1.1, 1.75, (40, 42, 44))
    return [border, rectangle(left + 0.06, bottom + 0.06, 0.98, 1.63, scaled(ground, 1.2)), *person]


def mannequin_shapes(rng: np.random.Generator, lift: float) -> list[Shape]:
    """A dummy for a shop window in metres, `lift` above the ground: dressed, but of one pale material."""
    pale: Colour = (222, 214, 202) if rng.random() < 0.6 else (60, 58, 60)

    def dress(look: Look) -> Look:
        plain = monochrome(look, pale)
        return replace(plain, top=look.top, bottom=look.bottom, stature_m=1.75, hair=pale)

    return _person(rng, dress, lift=lift)


def _person(rng: np.random.Generator, change: Callable[[Look], Look], lift: float) -> list[Shape]:
    """The shapes of a standing person in metres that count as nobody's body."""
    look = change(random_look(rng, umbrella_chance=0))
    pose = random_pose(rng, rng.uniform(-0.5, 0.5), -0.9, walking=False)
    return [
        Shape([(x * look.stature_m, y * look.stature_m + lift) for x, y in shape.outline], shape.colour)
        for shape in figure_shapes(look, pose, fine=True)
    ]


def dog_shapes(rng: np.random.Generator, phase: float) -> list[Shape]:
    """A dog of about half a metre that walks to the right."""
    coat: Colour = ((60, 46, 36), (150, 110, 70), (200, 192, 180), (36, 34, 34))[int(rng.integers(0, 4))]
    size = rng.uniform(0.7, 1.15)
    legs = []
    for at, offset in ((-0.27, 0.0), (0.25, 0.7), (-0.22, math.pi), (0.3, math.pi + 0.7)):
        swing = 0.09 * math.sin(phase + offset)
        paw = at + swing
        leg = [(at - 0.035, 0.3), (at + 0.035, 0.3), (paw + 0.025, 0.0), (paw - 0.025, 0.0)]
        legs.append(Shape(leg, scaled(coat, 0.85)))
    body = [
        Shape([(-0.36, 0.5), (0.3, 0.54), (0.36, 0.34), (-0.34, 0.29)], coat),
        Shape([(0.24, 0.52), (0.36, 0.74), (0.48, 0.68), (0.34, 0.42)], coat),
        Shape([(0.34, 0.78), (0.58, 0.66), (0.56, 0.58), (0.36, 0.6)], scaled(coat, 1.05)),
        Shape([(-0.34, 0.48), (-0.52, 0.66), (-0.48, 0.7), (-0.3, 0.5)], coat),
    ]
    return [Shape([(x * size, y * size) for x, y in shape.outline], shape.colour) for shape in [*legs, *body]]


def _paint(rng: np.random.Generator) -> Colour:
    return _PAINTS[int(rng.integers(0, len(_PAINTS)))]


_MAKERS: dict[str, tuple[float, Maker]] = {
    "tree": (0.24, _tree),
    "pole": (0.2, _pole),
    "bin": (0.16, _bin),
    "statue": (0.1, _statue),
    "hydrant": (0.12, _hydrant),
    "traffic_light": (0.1, _traffic_light),
    "shelter": (0.08, _shelter),
}
