"""Picture to model input, and boxes back: the one function that training's export check, validation and serving share.

The resize and the padding are those of ultralytics' `LetterBox` (proven equal by a test in `tests/components/train`); the
spec travels inside the model artifact, so a model is never fed by other rules than those it was trained under.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.errors import ContractError
from belisha.components.shared.images import ImageArray


@dataclass(frozen=True, slots=True)
class PreprocessingSpec:
    """How a picture becomes the model's input.

    Attributes:
        height_px: input height of the model.
        width_px: input width of the model.
        letterbox: keep the aspect ratio and pad; the only way known so far.
        pad_value: grey level of the padding, 0..255.
        channel_order: `RGB`, the only order known so far.
        scale: factor from 0..255 to the model's range.
    """

    height_px: int
    width_px: int
    letterbox: bool = True
    pad_value: int = 114
    channel_order: str = "RGB"
    scale: float = 1 / 255

    def to_json(self) -> dict[str, Any]:
        """The spec as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PreprocessingSpec:
        """Read a spec; raises ContractError on keys or values that this code cannot honour."""
        try:
            spec = cls(**value)
        except TypeError as error:
            raise ContractError(
                f"the preprocessing spec {value} is not understood ({error}): export the model again"
            ) from None
        if not spec.letterbox or spec.channel_order != "RGB":
            raise ContractError(
                f"the preprocessing spec {value} asks for what this version cannot do: export the model again"
            )
        return spec


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where the picture lies inside the model's input.

    Attributes:
        gain: model pixels per picture pixel.
        pad_left_px: columns of padding left of the picture.
        pad_top_px: rows of padding above it.
        width_px: of the original picture.
        height_px: of the original picture.
    """

    gain: float
    pad_left_px: int
    pad_top_px: int
    width_px: int
    height_px: int

    def to_picture(self, boxes_xyxy_px: FloatArray) -> FloatArray:
        """Map `(n, 4)` [left, top, right, bottom] from model pixels to picture pixels, cut at the picture's border."""
        offset = np.array([self.pad_left_px, self.pad_top_px] * 2, dtype=boxes_xyxy_px.dtype)
        limit = np.array([self.width_px, self.height_px] * 2, dtype=boxes_xyxy_px.dtype)
        return np.clip((boxes_xyxy_px - offset) / self.gain, 0, limit)


def letterbox_of(height_px: int, width_px: int, spec: PreprocessingSpec) -> tuple[Letterbox, tuple[int, int]]:
    """Geometry for a picture of this size: the mapping, and the resized (width, height) in model pixels."""
    gain = min(spec.height_px / height_px, spec.width_px / width_px)
    resized_wh = (round(width_px * gain), round(height_px * gain))
    spare_x, spare_y = (spec.width_px - resized_wh[0]) / 2, (spec.height_px - resized_wh[1]) / 2
    # ultralytics rounds a half pixel of padding to the smaller side first.
    left, top = round(spare_x - 0.1), round(spare_y - 0.1)
    return Letterbox(gain, left, top, width_px, height_px), resized_wh


def preprocess(image_rgb: ImageArray, spec: PreprocessingSpec) -> tuple[npt.NDArray[np.float32], Letterbox]:
    """Letterbox a picture and bring it into the model's range.

    Args:
        image_rgb: `(height, width, 3)` uint8.
        spec: the model's own.

    Returns:
        `(1, 3, spec.height_px, spec.width_px)` float32, and the mapping back to picture pixels.
    """
    height_px, width_px = image_rgb.shape[:2]
    geometry, resized_wh = letterbox_of(height_px, width_px, spec)
    resized = image_rgb
    if resized_wh != (width_px, height_px):
        resized = np.asarray(cv2.resize(image_rgb, resized_wh, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    canvas = np.full((spec.height_px, spec.width_px, 3), spec.pad_value, dtype=np.uint8)
    top, left = geometry.pad_top_px, geometry.pad_left_px
    canvas[top : top + resized_wh[1], left : left + resized_wh[0]] = resized
    tensor = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None]).astype(np.float32)
    tensor *= np.float32(spec.scale)
    return tensor, geometry
