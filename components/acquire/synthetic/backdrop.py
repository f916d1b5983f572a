"""What a static camera sees when the street is empty: sky, façades, pavements and road, by day."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from belisha.components.acquire.synthetic.canvas import Canvas, Colour, Rectangle
from belisha.components.acquire.synthetic.figure import scaled
from belisha.components.acquire.synthetic.props import mannequin_shapes, poster_shapes, standing
from belisha.components.acquire.synthetic.textures import smooth_noise
from belisha.components.acquire.synthetic.world import NEAR_M, View
from belisha.components.shared.images import ImageArray

FAR_M = 160.0
_WALLS: tuple[Colour, ...] = (
    (164, 108, 84), (142, 92, 74), (190, 170, 140), (206, 198, 182), (150, 148, 146), (176, 150, 120), (122, 116, 112),
    (202, 182, 156), (134, 140, 150),
)  # fmt: skip
_SHOPS: tuple[Colour, ...] = ((120, 34, 36), (34, 66, 52), (34, 46, 84), (58, 54, 52), (170, 120, 40), (86, 50, 82))
_GLASS: tuple[Colour, ...] = ((64, 76, 90), (84, 100, 116), (44, 52, 62), (112, 128, 140))
_LIT: tuple[Colour, ...] = ((255, 214, 140), (250, 228, 180), (220, 226, 240))
_FLOOR_M = 3.1
# Beyond this distance along the street windows lose their frames and shops their mannequins.
_DETAIL_M = 36.0
Corners = list[tuple[float, float, float]]
_SHIFT = 4


@dataclass(frozen=True, slots=True)
class Backdrop:
    """An empty street by day.

    Attributes:
        image: `(h, w, 3)` uint8 RGB.
        depth_m: `(h, w)` float32, distance of what each pixel shows.
        emission: `(h, w, 3)` uint8, the light that windows and shops give off at night.
        sky: `(h, w)` bool.
        lookalikes: kind and box of what is painted in windows and on walls and resembles a pedestrian.
    """

    image: ImageArray
    depth_m: npt.NDArray[np.float32]
    emission: ImageArray
    sky: npt.NDArray[np.bool_]
    lookalikes: tuple[tuple[str, Rectangle], ...]


def paint_backdrop(view: View, rng: np.random.Generator) -> Backdrop:
    """Paint the street of a camera."""
    return _Painter(view, rng).paint()


class _Painter:
    def __init__(self, view: View, rng: np.random.Generator) -> None:
        # Texture takes as many numbers as there are pixels: apart, so that the street is the same at every picture size.
        self.rng, self.texture = rng.spawn(2)
        self.view = view
        shape = (view.height_px, view.width_px)
        self.image = np.zeros((*shape, 3), np.uint8)
        self.depth = np.full(shape, FAR_M, np.float32)
        self.emission = np.zeros((*shape, 3), np.uint8)
        self.lookalikes: list[tuple[str, Rectangle]] = []

    def paint(self) -> Backdrop:
        self._sky()
        self._ground()
        self._facades()
        # Single-precision noise over everything: no wall and no road is of one colour.
        height, width = self.depth.shape
        grain = 4.5 * self.texture.standard_normal((height, width), dtype=np.float32) + 3.5 * smooth_noise(
            self.texture, width, height, 9
        )
        grain *= np.where(self.depth >= FAR_M, 0.25, 1.0).astype(np.float32)
        self.image = np.asarray(cv2.add(self.image, cv2.merge([grain, grain, grain]), dtype=cv2.CV_8U), dtype=np.uint8)
        return Backdrop(self.image, self.depth, self.emission, self.depth >= FAR_M, tuple(self.lookalikes))

    def _sky(self) -> None:
        horizon = int(self.view.horizon_px)
        zenith = np.array([self.rng.uniform(90, 170), self.rng.uniform(140, 185), self.rng.uniform(185, 225)])
        share = np.linspace(0, 1, horizon + 1)[:, None]
        rows = zenith * (1 - share) + np.array([214, 220, 224]) * share
        self.image[: horizon + 1] = rows[:, None, :].astype(np.uint8)
        clouds = smooth_noise(self.texture, self.view.width_px, horizon + 1, 60).clip(0, 2) * 14
        self.image[: horizon + 1] = np.clip(self.image[: horizon + 1] + clouds[:, :, None], 0, 255).astype(np.uint8)
        x = 0.0
        while x < self.view.width_px:
            width, height = (
                self.rng.uniform(0.03, 0.1) * self.view.width_px,
                self.rng.uniform(0.02, 0.14) * self.view.height_px,
            )
            grey = self.rng.uniform(130, 175)
            corner, opposite = (round(x), round(horizon - height)), (round(x + width), horizon + 1)
            cv2.rectangle(self.image, corner, opposite, (grey, grey * 1.02, grey * 1.05), -1)
            x += width

    def _ground(self) -> None:
        view, street = self.view, self.view.street
        horizon = int(view.horizon_px) + 1
        rows = np.arange(horizon, view.height_px) + 0.5
        distance = view.focal_px * view.camera_height_m / np.maximum(rows - view.horizon_px, 0.5)
        self.depth[horizon:] = np.minimum(distance, FAR_M - 1)[:, None]
        stone = self.rng.uniform(128, 172)
        paving: Colour = (stone, stone * self.rng.uniform(0.95, 1.0), stone * self.rng.uniform(0.9, 1.0))
        self.image[horizon:] = np.array(paving, np.uint8)
        tar = self.rng.uniform(66, 100)
        self._flat(-60, 250, -street.road, street.road, (tar, tar, tar * 1.04))
        for side in (-1.0, 1.0):
            for joint in np.arange(0.8, street.pavement, 0.8).tolist():
                self._flat(
                    -10, 60, side * (street.road + joint), side * (street.road + joint + 0.03), scaled(paving, 0.86)
                )
            for u in np.arange(-10, 34, 1.2).tolist():
                self._flat(u, u + 0.03, side * street.road, side * street.facade, scaled(paving, 0.86))
            self._flat(-60, 250, side * street.road, side * (street.road + 0.16), scaled(paving, 1.18))
            self._flat(-60, 250, side * (street.road - 0.07), side * street.road, scaled((tar, tar, tar), 0.72))
        self._markings()
        self._stains(horizon)

    def _markings(self) -> None:
        paint: Colour = (212, 212, 206)
        zebra = self.view.street.zebra_u
        for u in np.arange(-12, 80, 5.0).tolist():
            if not zebra - 3 < u < zebra + 4:
                self._flat(u, u + 2.2, -0.07, 0.07, paint)
        half = self.view.street.road
        for v in np.arange(-half + 0.2, half - 0.3, 1.1).tolist():
            self._flat(zebra, zebra + 3.0, v, v + 0.55, paint)

    def _stains(self, horizon: int) -> None:
        height, width = self.image.shape[0] - horizon, self.image.shape[1]
        factor = (
            1
            + 0.045 * smooth_noise(self.texture, width, height, 40)
            + 0.03 * smooth_noise(self.texture, width, height, 5)
        )
        ground = self.image[horizon:]
        cv2.multiply(ground, cv2.merge([factor, factor, factor]), dst=ground, dtype=cv2.CV_8U)

    def _flat(self, u0: float, u1: float, v0: float, v1: float, colour: Colour) -> None:
        self._fill([(u0, v0, 0.0), (u1, v0, 0.0), (u1, v1, 0.0), (u0, v1, 0.0)], colour)

    def _fill(self, points_uvh: Corners, colour: Colour, *, depth: bool = False, light: Colour | None = None) -> None:
        outline = self.view.outline(points_uvh)
        if not self._in_sight(outline):
            return
        corners = np.rint(np.array(outline) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(self.image, corners, colour, cv2.LINE_AA, _SHIFT)
        if depth:
            middle = float(self.view.to_camera(np.array(points_uvh))[:, 2].clip(min=NEAR_M).mean())
            cv2.fillConvexPoly(self.depth, corners, min(middle, FAR_M - 1), cv2.LINE_8, _SHIFT)
            cv2.fillConvexPoly(self.emission, corners, (0, 0, 0), cv2.LINE_8, _SHIFT)
        if light is not None:
            cv2.fillConvexPoly(self.emission, corners, light, cv2.LINE_8, _SHIFT)

    def _in_sight(self, outline: list[tuple[float, float]]) -> bool:
        columns = [x for x, _ in outline]
        return bool(columns) and max(columns) > 0 and min(columns) < self.view.width_px

    def _facades(self) -> None:
        houses = [(side, *house) for side in (-1.0, 1.0) for house in self._plots()]

        def distance(house: tuple[float, float, float]) -> float:
            side, start, end = house
            middle = np.array([[(start + end) / 2, side * self.view.street.facade, 0.0]])
            return -float(self.view.to_camera(middle)[0, 2])

        # Each house has randomness of its own, so that those out of sight cost nothing and change nothing.
        seeds = dict(zip(houses, self.rng.spawn(len(houses)), strict=True))
        for house in sorted(houses, key=distance):
            side, start, end = house
            v = side * self.view.street.facade
            if self._in_sight(self.view.outline([(start, v, 0.0), (end, v, 0.0), (end, v, 1.0)])):
                self.rng = seeds[house]
                self._house(side, start, end)

    def _plots(self) -> Iterator[tuple[float, float]]:
        u = -34.0
        while u < 85:
            length = self.rng.uniform(7, 15)
            yield u, u + length
            u += length + (self.rng.uniform(2, 5) if self.rng.random() < 0.12 else 0.0)

    def _house(self, side: float, start: float, end: float) -> None:
        floors = int(self.rng.integers(2, 6))
        wall = _varied(self.rng, _WALLS[int(self.rng.integers(0, len(_WALLS)))])
        if side == 1.0:
            wall = scaled(wall, 0.86)
        bays = max(2, round((end - start) / 2.9))
        edges = np.linspace(start, end, bays + 1).tolist()
        top = floors * _FLOOR_M + 0.8
        for left, right in itertools.pairwise(edges):
            self._upright(side, (left, right + 0.02), (0, top), wall, depth=True)
        self._upright(side, (start, end), (top - 0.5, top), scaled(wall, 0.8))
        shop = self.rng.random() < 0.55
        if shop:
            self._shop(side, edges)
        for floor in range(1 if shop else 0, floors):
            for left, right in itertools.pairwise(edges):
                self._window(side, (left + right) / 2, floor * _FLOOR_M + 0.95, wall)

    def _upright(
        self, side: float, along: tuple[float, float], up: tuple[float, float], colour: Colour, *,
        depth: bool = False, light: Colour | None = None,
    ) -> None:  # fmt: skip
        v = side * self.view.street.facade
        corners = [(along[0], v, up[0]), (along[1], v, up[0]), (along[1], v, up[1]), (along[0], v, up[1])]
        self._fill(corners, colour, depth=depth, light=light)

    def _window(self, side: float, u: float, bottom: float, wall: Colour) -> None:
        glass = _GLASS[int(self.rng.integers(0, len(_GLASS)))]
        light = (
            scaled(_LIT[int(self.rng.integers(0, 3))], self.rng.uniform(0.35, 0.8)) if self.rng.random() < 0.3 else None
        )
        near = abs(u) < _DETAIL_M
        if near:
            self._upright(side, (u - 0.66, u + 0.66), (bottom - 0.1, bottom + 1.65), scaled(wall, 1.22))
        self._upright(side, (u - 0.55, u + 0.55), (bottom, bottom + 1.55), glass, light=light)
        if near:
            self._upright(side, (u - 0.03, u + 0.03), (bottom, bottom + 1.55), scaled(wall, 1.15))

    def _shop(self, side: float, edges: list[float]) -> None:
        paint = _SHOPS[int(self.rng.integers(0, len(_SHOPS)))]
        light = (
            scaled(_LIT[int(self.rng.integers(0, 3))], self.rng.uniform(0.3, 0.75)) if self.rng.random() < 0.6 else None
        )
        self._upright(side, (edges[0], edges[-1]), (0, 3.0), scaled(paint, 0.8))
        self._upright(side, (edges[0] + 0.2, edges[-1] - 0.2), (2.45, 2.95), scaled(paint, 1.35))
        for number, (left, right) in enumerate(itertools.pairwise(edges)):
            if number == len(edges) // 2:
                self._upright(side, (left + 0.6, right - 0.6), (0, 2.2), scaled(paint, 0.5))
                continue
            self._upright(side, (left + 0.25, right - 0.25), (0.5, 2.35), (96, 104, 110), light=light)
            self._behind_glass(side, (left + right) / 2)

    def _behind_glass(self, side: float, u: float) -> None:
        """A mannequin in the shop window, or a poster on the pane, or nothing."""
        choice = self.rng.random()
        if choice > 0.5 or abs(u) > _DETAIL_M:
            return
        kind = "mannequin" if choice < 0.3 else "poster"
        shapes = mannequin_shapes(self.rng, 0.5) if kind == "mannequin" else poster_shapes(self.rng, -0.55, 0.55)
        sprite = standing(self.view, u, side * (self.view.street.facade - 0.02), shapes, kind)
        if sprite is None:
            return
        canvas = Canvas(self.image, np.zeros(self.depth.shape, np.uint8))
        canvas.paste(sprite)
        self.emission[canvas.labels > 0] = 0
        self.lookalikes.append((kind, sprite.box))


def _varied(rng: np.random.Generator, colour: Colour) -> Colour:
    red, green, blue = np.clip(np.array(colour) * rng.uniform(0.85, 1.12) + rng.normal(0, 4, 3), 10, 245).tolist()
    return red, green, blue
