"""Articulated people: a skeleton in a walking pose, clothed, seen from any side."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from belisha.components.acquire.synthetic.canvas import Colour, Shape

Point = tuple[float, float]

_SKINS: tuple[Colour, ...] = (
    (240, 205, 180), (225, 180, 150), (205, 155, 120), (165, 115, 80), (120, 80, 55), (85, 58, 42),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (35, 28, 25),
    (70, 48, 32),
    (120, 85, 50),
    (190, 160, 105),
    (150, 145, 140),
    (110, 50, 30),
)
_CLOTHES: tuple[Colour, ...] = (
    (38, 40, 46), (60, 64, 72), (96, 98, 104), (140, 140, 138), (205, 203, 196), (236, 234, 230), (32, 44, 78),
    (58, 84, 132), (106, 140, 180), (120, 40, 42), (176, 52, 48), (210, 120, 50), (222, 186, 70), (64, 92, 60),
    (112, 128, 84), (98, 74, 54), (150, 122, 92), (120, 70, 110), (206, 140, 150),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = (
    (34, 36, 42), (44, 52, 76), (66, 80, 108), (92, 94, 98), (128, 118, 100), (72, 58, 48), (176, 168, 150),
)  # fmt: skip
_ARC = tuple(
    (math.cos(angle), math.sin(angle)) for angle in (-math.pi / 2, -math.pi / 4, 0.0, math.pi / 4, math.pi / 2)
)
_DOME = tuple(math.pi * step / 8 for step in range(9))


@dataclass(frozen=True, slots=True)
class Look:
    """How a person is built and dressed; lengths are shares of the stature unless they say otherwise.

    Attributes:
        stature_m: height in metres.
        build: width relative to the average.
        head: radius of the head.
        skin: colour.
        hair: colour.
        top: colour of shirt or coat.
        bottom: colour of trousers or skirt.
        shoes: colour.
        long_sleeves: else the forearms are bare.
        skirt: length of skirt or coat below the hip; 0 without.
        skirt_is_coat: whether it has the colour of the top.
        long_hair: down to the shoulders.
        hat: colour, or None.
        bag: `backpack`, `handbag`, `shopping` or empty.
        bag_colour: colour.
        umbrella: colour, or None.
        texture: number of the cloth.
    """

    stature_m: float
    build: float
    head: float
    skin: Colour
    hair: Colour
    top: Colour
    bottom: Colour
    shoes: Colour
    long_sleeves: bool
    skirt: float
    skirt_is_coat: bool
    long_hair: bool
    hat: Colour | None
    bag: str
    bag_colour: Colour
    umbrella: Colour | None
    texture: int


@dataclass(frozen=True, slots=True)
class Pose:
    """How a person stands or walks at one moment.

    Attributes:
        forward_x: share of the walking direction that goes to the right in the picture, -1..1.
        forward_z: share that goes away from the camera, -1..1.
        phase: of the stride, radians.
        stride: largest angle of the thigh, radians; near 0 for standing.
        arm_flex: bend of the elbows, radians.
        phone: whether one hand is held up before the face.
    """

    forward_x: float
    forward_z: float
    phase: float
    stride: float
    arm_flex: float
    phone: bool


def random_look(rng: np.random.Generator, *, umbrella_chance: float) -> Look:
    """A person as one may meet in a street."""
    child = rng.random() < 0.12
    stature = rng.uniform(0.95, 1.4) if child else float(np.clip(rng.normal(1.71, 0.09), 1.48, 2.0))
    skirted = rng.random() < 0.3
    return Look(
        stature_m=stature,
        build=rng.uniform(0.85, 1.25),
        head=0.062 + (1.72 - stature) * 0.02 if child else rng.uniform(0.054, 0.06),
        skin=_pick(rng, _SKINS),
        hair=_pick(rng, _HAIRS),
        top=_varied(rng, _pick(rng, _CLOTHES)),
        bottom=_varied(rng, _pick(rng, _CLOTHES if skirted else _TROUSERS)),
        shoes=_varied(rng, _pick(rng, _CLOTHES)),
        long_sleeves=bool(rng.random() < 0.65),
        skirt=rng.uniform(0.12, 0.26) if skirted else 0.0,
        skirt_is_coat=bool(rng.random() < 0.5),
        long_hair=bool(rng.random() < 0.4),
        hat=_pick(rng, _CLOTHES) if rng.random() < 0.2 else None,
        bag=str(rng.choice(("", "", "", "backpack", "handbag", "shopping"))),
        bag_colour=_varied(rng, _pick(rng, _CLOTHES)),
        umbrella=_varied(rng, _pick(rng, _CLOTHES)) if rng.random() < umbrella_chance else None,
        texture=int(rng.integers(0, 12)),
    )


def monochrome(look: Look, colour: Colour) -> Look:
    """The same person cast in one material: a statue or a mannequin."""
    shade: Colour = (colour[0] * 0.93, colour[1] * 0.93, colour[2] * 0.93)
    return replace(
        look, skin=colour, hair=shade, top=colour, bottom=shade, shoes=shade, hat=None, bag="", umbrella=None, texture=0
    )


def random_pose(rng: np.random.Generator, forward_x: float, forward_z: float, *, walking: bool) -> Pose:
    """A pose that walks in the given direction, or stands."""
    stride = rng.uniform(0.32, 0.58) if walking else rng.uniform(0.02, 0.12)
    if walking and rng.random() < 0.06:
        stride = rng.uniform(0.75, 0.95)
    return Pose(
        forward_x=forward_x,
        forward_z=forward_z,
        phase=rng.uniform(0, 2 * math.pi),
        stride=stride,
        arm_flex=rng.uniform(0.15, 0.6) if rng.random() < 0.8 else 1.5,
        phone=bool(rng.random() < 0.1),
    )


def figure_shapes(look: Look, pose: Pose, *, fine: bool) -> list[Shape]:
    """Shapes of a person, back to front; bags and umbrellas do not count as body.

    Coordinates are shares of the stature: x to the right of the point between the feet, y up from the lowest point.
    """
    return _Figure(look, pose).shapes(fine=fine)


class _Figure:
    """The skeleton seen by the camera: x to the right, y up, the nearer drawn later."""

    def __init__(self, look: Look, pose: Pose) -> None:
        self.look, self.pose = look, pose
        joints = _joints(look, pose)
        lift = 0.022 - min(joints[at][1] for at in (2, 3, 9, 10))
        self.points: list[Point] = [
            (right * pose.forward_z + forward * pose.forward_x, up + lift) for right, up, forward in joints
        ]
        self.depths = [forward * pose.forward_z - right * pose.forward_x for right, _, forward in joints]

    def shapes(self, *, fine: bool) -> list[Shape]:
        """All shapes, back to front."""
        legs = sorted((self._leg(0, fine=fine), self._leg(7, fine=fine)), key=lambda item: -item[0])
        arms = sorted((self._arm(4, fine=fine), self._arm(11, fine=fine)), key=lambda item: -item[0])
        away = self.pose.forward_z > 0.3
        far_arm = [] if abs(self.pose.forward_x) < 0.35 else arms.pop(0)[1]
        near_arms = [shape for _, shapes in arms for shape in shapes]
        pack = self._backpack()
        return [
            *self._umbrella_pole(), *([] if away else pack), *far_arm, *legs[0][1], *legs[1][1], *self._trunk(),
            *(pack if away else []), *self._head(fine=fine), *near_arms, *self._carried(), *self._umbrella_top(),
        ]  # fmt: skip

    def _leg(self, at: int, *, fine: bool) -> tuple[float, list[Shape]]:
        look, (hip, knee, ankle, toe) = self.look, self.points[at : at + 4]
        width = look.build * 0.5 + 0.5
        bare = look.skirt > 0 and not look.skirt_is_coat
        lower = look.skin if bare else look.bottom
        shapes = [
            _limb(ankle, toe, 0.021, 0.016, look.shoes),
            _limb(knee, ankle, 0.036 * width, 0.023 * width, lower),
            _limb(hip, knee, 0.056 * width, 0.038 * width, lower),
        ]
        if fine:
            shapes.append(_limb(hip, knee, 0.026 * width, 0.016 * width, scaled(lower, 1.13)))
        return self.depths[at + 1], shapes

    def _arm(self, at: int, *, fine: bool) -> tuple[float, list[Shape]]:
        look, (shoulder, elbow, hand) = self.look, self.points[at : at + 3]
        width = look.build * 0.6 + 0.4
        sleeve = look.top if look.long_sleeves else look.skin
        shapes = [
            _limb(hand, hand, 0.019, 0.019, look.skin),
            _limb(elbow, hand, 0.024 * width, 0.018 * width, scaled(sleeve, 0.97)),
            _limb(shoulder, elbow, 0.032 * width, 0.025 * width, scaled(look.top, 0.94)),
        ]
        if fine:
            shapes.append(_limb(shoulder, elbow, 0.013 * width, 0.01 * width, scaled(look.top, 1.12)))
        return self.depths[at + 1], shapes

    def _half_width(self, lateral: float, deep: float) -> float:
        return self.look.build * math.hypot(lateral * self.pose.forward_z, deep * self.pose.forward_x)

    def _trunk(self) -> list[Shape]:
        look, (x, neck) = self.look, self.points[14]
        hip, top = (self.points[0][1] + self.points[7][1]) / 2, neck - 0.02
        shoulders, waist, hips = (self._half_width(*size) for size in ((0.112, 0.066), (0.086, 0.062), (0.09, 0.068)))
        throat = _limb((x, neck - 0.03), (x, neck + 0.03), 0.027, 0.025, scaled(look.skin, 0.85))
        outline = [
            (x - shoulders * 0.75, top), (x + shoulders * 0.75, top), (x + shoulders, top - 0.035), (x + waist, hip + 0.13),
            (x + hips, hip), (x - hips, hip), (x - waist, hip + 0.13), (x - shoulders, top - 0.035),
        ]  # fmt: skip
        return [throat, self._hips(x, hip, hips), Shape(outline, look.top, body=True)]

    def _hips(self, x: float, hip: float, half: float) -> Shape:
        look = self.look
        if not look.skirt:
            return _trapezoid(x, hip + 0.05, half * 0.98, hip - 0.04, half * 0.85, look.bottom)
        spread = 2 * abs(self.points[1][0] - self.points[8][0]) * look.skirt
        hem = min(half * 1.1 + 0.16 * look.skirt + spread, half + 0.09)
        return _trapezoid(x, hip + 0.04, half, hip - look.skirt, hem, look.top if look.skirt_is_coat else look.bottom)

    def _head(self, *, fine: bool) -> list[Shape]:
        look, centre, side = self.look, self.points[15], self.pose.forward_x
        radius, shapes = look.head, []
        if look.long_hair:
            nape = _at(centre, -0.012 * side, 0)
            shapes.append(_limb(nape, _at(nape, 0, -1.5 * radius), radius, radius * 0.8, look.hair))
        shapes.append(_oval(_at(centre, -0.012 * side, 0.0 if self.pose.forward_z > 0.3 else 0.014), radius, look.hair))
        if self.pose.forward_z <= 0.3:
            shapes.append(_oval(_at(centre, 0.01 * side, -0.008), radius * 0.86, look.skin))
            if fine:
                eyes = _at(centre, 0.022 * side, 0)
                shapes.append(_limb(_at(eyes, -0.016, 0), _at(eyes, 0.016, 0), 0.004, 0.004, scaled(look.skin, 0.5)))
        if look.hat is not None:
            brim = _at(centre, 0.018 * side, radius * 0.45)
            crown = _at(brim, -0.018 * side, radius * 0.45)
            shapes.append(
                _limb(_at(brim, -radius * 0.9, 0), _at(brim, radius * 0.9, 0), 0.012, 0.012, scaled(look.hat, 0.85))
            )
            shapes.append(_limb(brim, crown, radius * 0.85, radius * 0.7, look.hat))
        return shapes

    def _backpack(self) -> list[Shape]:
        if self.look.bag != "backpack":
            return []
        x, neck = self.points[14]
        width = self._half_width(0.085, 0.045)
        pack = _trapezoid(
            x - 0.075 * self.pose.forward_x, neck - 0.04, width * 0.8, neck - 0.27, width, self.look.bag_colour
        )
        return [_thing(pack)]

    def _carried(self) -> list[Shape]:
        if self.look.bag not in ("handbag", "shopping"):
            return []
        hand = self.points[6]
        size = 0.05 if self.look.bag == "handbag" else 0.075
        top = hand[1] - 0.045
        strap = _limb(hand, _at(hand, 0, -0.05), 0.006, 0.006, (40, 36, 34))
        return [
            _thing(strap),
            _thing(_trapezoid(hand[0], top, size * 0.85, top - 1.7 * size, size, self.look.bag_colour)),
        ]

    def _umbrella_tip(self) -> Point:
        return (self.points[15][0] + self.points[13][0]) / 2, self.points[15][1] + 0.19

    def _umbrella_pole(self) -> list[Shape]:
        if self.look.umbrella is None:
            return []
        return [_thing(_limb(_at(self.points[13], 0, -0.03), self._umbrella_tip(), 0.007, 0.005, (60, 60, 64)))]

    def _umbrella_top(self) -> list[Shape]:
        if self.look.umbrella is None:
            return []
        x, y = self._umbrella_tip()
        dome = [(x + 0.29 * math.cos(angle), y - 0.15 + 0.16 * math.sin(angle)) for angle in _DOME]
        folds = [[dome[left], dome[right], (x, y + 0.01)] for left, right in ((5, 7), (1, 3))]
        return [Shape(dome, self.look.umbrella), *(Shape(fold, scaled(self.look.umbrella, 0.85)) for fold in folds)]


def _joints(look: Look, pose: Pose) -> list[tuple[float, float, float]]:
    """16 joints as [right, up, forward]: left hip, knee, ankle, toe, shoulder, elbow, hand; the same right; neck, head."""
    left, right = (_leg_joints(look, pose, side) + _arm_joints(look, pose, side) for side in (-1.0, 1.0))
    return [*left, *right, (0.0, 0.85, 0.012), (0.0, 1 - look.head * 1.18, 0.022)]


def _leg_joints(look: Look, pose: Pose, side: float) -> list[tuple[float, float, float]]:
    phase = pose.phase + (math.pi if side > 0 else 0.0)
    thigh = pose.stride * math.sin(phase)
    shank = thigh - pose.stride * 1.5 * max(0.0, math.cos(phase + 0.35)) - 0.05
    right, hip = side * 0.047 * look.build, 0.49
    knee = (right, hip - 0.235 * math.cos(thigh), 0.235 * math.sin(thigh))
    ankle = (right * 0.9, knee[1] - 0.225 * math.cos(shank), knee[2] + 0.225 * math.sin(shank))
    toe = (right * 1.1, ankle[1] - 0.018 + 0.04 * min(0.0, shank), ankle[2] + 0.1)
    return [(right, hip, 0.0), knee, ankle, toe]


def _arm_joints(look: Look, pose: Pose, side: float) -> list[tuple[float, float, float]]:
    phase = pose.phase + (0.0 if side > 0 else math.pi)
    upper = pose.stride * 0.8 * math.sin(phase)
    lower = upper + pose.arm_flex
    if side > 0 and (pose.phone or look.umbrella is not None):
        upper, lower = 0.25, 2.3
    shoulder = side * 0.098 * look.build
    elbow = (shoulder * 1.22, 0.80 - 0.165 * math.cos(upper), 0.165 * math.sin(upper))
    hand = (shoulder * 1.2, elbow[1] - 0.15 * math.cos(lower), elbow[2] + 0.15 * math.sin(lower))
    return [(shoulder, 0.80, 0.0), elbow, hand]


def _limb(start: Point, end: Point, start_radius: float, end_radius: float, colour: Colour) -> Shape:
    """The hull of two circles as a polygon of ten corners."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    c, s = (dx / length, dy / length) if length > 0 else (1.0, 0.0)
    tip = [(end[0] + end_radius * (a * c - b * s), end[1] + end_radius * (a * s + b * c)) for a, b in _ARC]
    root = [(start[0] - start_radius * (a * c - b * s), start[1] - start_radius * (a * s + b * c)) for a, b in _ARC]
    return Shape(tip + root, colour, body=True)


def _oval(centre: Point, radius: float, colour: Colour) -> Shape:
    return _limb(_at(centre, 0, -radius * 0.18), _at(centre, 0, radius * 0.18), radius * 0.92, radius, colour)


def _trapezoid(x: float, upper: float, upper_half: float, lower: float, lower_half: float, colour: Colour) -> Shape:
    corners = [(x - upper_half, upper), (x + upper_half, upper), (x + lower_half, lower), (x - lower_half, lower)]
    return Shape(corners, colour, body=True)


def _thing(shape: Shape) -> Shape:
    return Shape(shape.outline, shape.colour, body=False)


def _at(point: Point, dx: float, dy: float) -> Point:
    return point[0] + dx, point[1] + dy


def scaled(colour: Colour, factor: float) -> Colour:
    """A brighter (factor > 1) or darker colour."""
    red, green, blue = (min(255.0, value * factor) for value in colour)
    return red, green, blue


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(0, len(colours)))]


def _varied(rng: np.random.Generator, colour: Colour) -> Colour:
    red, green, blue = np.clip(np.array(colour) * rng.uniform(0.85, 1.12) + rng.normal(0, 7, 3), 8, 250).tolist()
    return red, green, blue
