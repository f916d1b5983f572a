"""Sprites with exact masks, and the canvas that remembers which pedestrian every pixel shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from belisha.components.acquire.synthetic.textures import cloth_tile, shadow_blob
from belisha.components.shared.images import ImageArray

Mask = npt.NDArray[np.uint8]
Outline = Sequence[tuple[float, float]]
Colour = tuple[float, float, float]
Rectangle = tuple[int, int, int, int]

# What a sprite's alpha says: the body that a box is drawn around, or something that belongs to no body.
BODY, THING = 255, 128
# What a pixel of the label picture says; pedestrians are numbered from 1.
GROUND, CROWD, OTHER = 0, 254, 255
MAX_PEDESTRIANS = 253
_SHIFT = 4
# A shadow in shares of what casts it, and how much of a thing wet ground mirrors.
_SHADOW_WIDTH, _SHADOW_DEPTH, _MIRRORED = 1.25, 0.3, 0.6
FOG_COLOUR: Colour = (201.0, 204.0, 207.0)


@dataclass(frozen=True, slots=True)
class Shape:
    """A filled polygon: its corners [x, y], a colour, and whether it belongs to a body.

    Corners are plain numbers, not arrays: a person has hundreds of them, and they become one array when drawn.
    """

    outline: Outline
    colour: Colour
    body: bool = False


@dataclass(frozen=True, slots=True)
class Sprite:
    """Something drawn once, to be put on a canvas.

    Attributes:
        rgba: `(h, w, 4)` uint8; alpha is BODY, THING or 0.
        x: left edge in the picture, may lie outside.
        y: upper edge in the picture.
        depth_m: distance from the camera; nearer sprites cover farther ones.
        feet_y: row where it stands on the ground.
        body_box: x, y, width, height of the whole body in picture pixels, also what is covered or outside; None without body.
        kind: what it is, e.g. `pedestrian` or `statue`.
    """

    rgba: ImageArray
    x: int
    y: int
    depth_m: float
    feet_y: float
    body_box: Rectangle | None = None
    kind: str = ""

    @property
    def box(self) -> Rectangle:
        """x, y, width, height of everything drawn, up to a pixel."""
        return self.x, self.y, self.rgba.shape[1], self.rgba.shape[0]


@dataclass(frozen=True, slots=True)
class Placing:
    """Where shapes come to lie: picture x = x + scale * shape x, picture y = y + scale * shape y (negative `flip` for y up)."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    flip: float = 1.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Size of the picture that sprites are drawn for; what lies further outside than that size is cut."""

    width_px: int
    height_px: int


def draw_sprite(
    shapes: Sequence[Shape], frame: Frame, *, depth_m: float, feet_y: float, kind: str,
    placing: Placing = Placing(), texture: int = 0,
) -> Sprite | None:  # fmt: skip
    """Fill the shapes in order on a transparent sprite.

    Args:
        shapes: back to front.
        frame: of the picture.
        depth_m: of the whole.
        feet_y: row of the ground contact.
        kind: what it is.
        placing: from the shapes' coordinates to the picture's.
        texture: which cloth texture lies over it.

    Returns:
        The sprite, or None when nothing of it is in the picture. The body's box covers what later shapes hide.
    """
    corners = np.array([corner for shape in shapes for corner in shape.outline], dtype=np.float64)
    corners = corners * (placing.scale, placing.scale * placing.flip) + (placing.x, placing.y)
    bounds = _bounds(corners, frame)
    if bounds is None:
        return None
    left, top, width, height = bounds
    rgba = np.zeros((height, width, 4), np.uint8)
    body = np.zeros((height, width), np.uint8) if any(shape.body for shape in shapes) else None
    fixed = np.rint((corners - (left, top)) * (1 << _SHIFT)).astype(np.int32)
    start = 0
    for shape in shapes:
        outline = fixed[start : start + len(shape.outline)]
        start += len(shape.outline)
        cv2.fillConvexPoly(rgba, outline, (*shape.colour, BODY if shape.body else THING), cv2.LINE_8, _SHIFT)
        if shape.body and body is not None:
            cv2.fillConvexPoly(body, outline, 255, cv2.LINE_8, _SHIFT)
    cv2.multiply(rgba, cloth_tile(texture, width, height), dst=rgba, scale=1 / 255)
    return Sprite(rgba, left, top, depth_m, feet_y, _shifted(body, left, top), kind)


def _bounds(corners: npt.NDArray[np.float64], frame: Frame) -> Rectangle | None:
    least, most = corners.min(axis=0), corners.max(axis=0)
    left, top, right, bottom = (
        math.floor(least[0]) - 1,
        math.floor(least[1]) - 1,
        math.ceil(most[0]) + 2,
        math.ceil(most[1]) + 2,
    )
    width, height = frame.width_px, frame.height_px
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return None
    left, top = max(left, -width), max(top, -height)
    return left, top, min(right, 2 * width) - left, min(bottom, 2 * height) - top


def _shifted(body: Mask | None, left: int, top: int) -> Rectangle | None:
    if body is None:
        return None
    x, y, width, height = cv2.boundingRect(body)
    return left + x, top + y, width, height


@dataclass(slots=True)
class Canvas:
    """A picture being painted far to near, with a label for every pixel.

    Attributes:
        image: `(h, w, 3)` uint8 RGB.
        labels: `(h, w)` uint8: GROUND, CROWD, OTHER, or the number of a pedestrian.
        fog_m: distance at which fog leaves 37 % of the contrast; None in clear air.
        wet: whether the ground mirrors what stands on it.
        shadow: darkness of the ground below things, 0..1.
    """

    image: ImageArray
    labels: Mask
    fog_m: float | None = None
    wet: bool = False
    shadow: float = 0.5

    def stand(self, sprite: Sprite, label: int = OTHER) -> None:
        """Put a sprite on the ground: its shadow, its mirror image where it is wet, then itself."""
        _, _, width, height = sprite.box
        self._cast_shadow(
            sprite.x + width / 2, sprite.feet_y, _SHADOW_WIDTH * width, _SHADOW_DEPTH * min(width, height)
        )
        if self.wet:
            self._mirror(sprite)
        self.paste(sprite, label)

    def reach(self, sprite: Sprite) -> Rectangle:
        """x, y, width, height of all that `stand` changes, or a little more."""
        x, y, width, height = sprite.box
        aside = math.ceil((_SHADOW_WIDTH - 1) / 2 * width) + 1
        below = math.ceil((_MIRRORED if self.wet else 0.0) * height + _SHADOW_DEPTH / 2 * min(width, height)) + 2
        return x - aside, y, width + 2 * aside, max(height, math.ceil(sprite.feet_y) - y) + below

    def paste(self, sprite: Sprite, label: int = OTHER) -> None:
        """Put a sprite over what is there; its body gets `label`, the rest of it OTHER."""
        part = self._part(sprite.x, sprite.y, sprite.rgba.shape[1], sprite.rgba.shape[0])
        if part is None:
            return
        rows, columns, inner = part
        rgba = sprite.rgba[inner]
        alpha = cv2.extractChannel(rgba, 3)
        rgb = np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), dtype=np.uint8)
        cv2.copyTo(self._hazy(rgb, sprite.depth_m), alpha, self.image[rows, columns])
        target = self.labels[rows, columns]
        target[alpha > 0] = OTHER
        if sprite.body_box is not None and label != OTHER:
            target[alpha == BODY] = label

    def _cast_shadow(self, x: float, feet_y: float, width_px: float, height_px: float) -> None:
        """Darken an ellipse on the ground around [x, feet_y]."""
        left, top = round(x - width_px / 2), round(feet_y - height_px / 2)
        part = self._part(left, top, max(2, round(width_px)), max(2, round(height_px)))
        if part is None or self.shadow <= 0:
            return
        rows, columns, inner = part
        blob = cv2.resize(shadow_blob(self.shadow), (max(2, round(width_px)), max(2, round(height_px))))[inner]
        target = self.image[rows, columns]
        cv2.multiply(target, blob, dst=target, scale=1 / 255)

    def _hazy(self, rgb: ImageArray, depth_m: float) -> ImageArray:
        if self.fog_m is None:
            return rgb
        clear = math.exp(-depth_m / self.fog_m)
        return np.asarray(cv2.convertScaleAbs(rgb, alpha=clear, beta=(1 - clear) * FOG_COLOUR[1]), dtype=np.uint8)

    def _mirror(self, sprite: Sprite) -> None:
        feet = min(sprite.rgba.shape[0], max(0, round(sprite.feet_y) - sprite.y))
        flipped = sprite.rgba[max(0, feet - int(_MIRRORED * sprite.rgba.shape[0])) : feet][::-1]
        part = self._part(sprite.x, round(sprite.feet_y), flipped.shape[1], flipped.shape[0])
        if part is None:
            return
        rows, columns, inner = part
        rgba = np.ascontiguousarray(flipped[inner])
        target = self.image[rows, columns]
        mixed = cv2.addWeighted(target, 0.72, cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), 0.28, 0)
        cv2.copyTo(mixed, cv2.extractChannel(rgba, 3), target)

    def _part(self, x: int, y: int, width: int, height: int) -> tuple[slice, slice, tuple[slice, slice]] | None:
        """The rows and columns of the picture under a rectangle, and the same part within the rectangle."""
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, self.image.shape[1]), min(y + height, self.image.shape[0])
        if right <= left or bottom <= top:
            return None
        return slice(top, bottom), slice(left, right), (slice(top - y, bottom - y), slice(left - x, right - x))

    def visible_box(self, label: int, near: Rectangle) -> Rectangle | None:
        """x, y, width, height of the pixels that show `label` within `near`; None when there are none."""
        part = self._part(*near)
        if part is None:
            return None
        rows, columns, _ = part
        x, y, width, height = cv2.boundingRect((self.labels[rows, columns] == label).view(np.uint8))
        return (columns.start + x, rows.start + y, width, height) if width and height else None
