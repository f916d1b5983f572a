"""Encoded pictures to upright RGB arrays, with every doubt turned into a sentence before memory is spent.

Pillow reads every header and decides what a picture is. Plain JPEGs, which nearly all pictures are, are then decoded by
OpenCV: the same libjpeg-turbo and the same pixels, about a fifth faster. Everything else is decoded by Pillow.
"""

from __future__ import annotations

import functools
import io
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from belisha.components.shared.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

ImageArray = npt.NDArray[np.uint8]

# 50 MB and 100 megapixels admit every camera we know of and bound what one hostile file may cost.
MAX_BYTES = 50_000_000
MAX_PIXELS = 100_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_ORIENTATION_TAG = 0x0112
_JPEG_END, _JPEG_SCAN = b"\xff\xd9", b"\xff\xda"


class UnreadablePictureError(InputError):
    """The bytes are no picture we accept; `reason` is a short stable word for counting."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Upper bounds checked before decoding."""

    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS


def decode_rgb(data: bytes, limits: DecodeLimits = DecodeLimits()) -> ImageArray:
    """Decode a JPEG, PNG, WebP or BMP of any mode and turn it upright by its EXIF orientation.

    Args:
        data: the encoded picture.
        limits: bounds on bytes and pixels, checked on the header.

    Returns:
        `(height, width, 3)` uint8, RGB, contiguous. Transparency is put on black, 16-bit grey is scaled to 8; of an animation
        or a multi-picture file it is the first picture.

    Raises:
        UnreadablePictureError: empty, oversized, not a picture, truncated or damaged; nothing was decoded beyond the header
            for the first three.
    """
    _refuse_odd_length(len(data), limits)
    pil = _pillow()
    try:
        with pil.open(io.BytesIO(data), formats=FORMATS) as picture:
            _refuse_too_many_pixels(picture.size, limits)
            return _upright(_pixels(data, picture), _orientation(picture))
    except UnreadablePictureError:
        raise
    except pil.DecompressionBombError:
        raise UnreadablePictureError(
            "oversized", f"the picture has more than {limits.max_pixels} pixels: make it smaller"
        ) from None
    except pil.UnidentifiedImageError:
        raise UnreadablePictureError(
            "not_a_picture", "the bytes are not a JPEG, PNG, WebP or BMP: send one of these"
        ) from None
    except Exception as error:  # noqa: BLE001 - decoders raise whatever they like on hostile bytes
        reason = "truncated" if "truncated" in str(error) else "damaged"
        raise UnreadablePictureError(
            reason, f"the picture is {reason} ({type(error).__name__}): send a whole file"
        ) from None


@functools.cache
def _pillow() -> ModuleType:
    """Pillow's `Image`, imported when the first picture comes; our own limit stands in for its warning on size."""
    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    return Image


def _refuse_odd_length(length_bytes: int, limits: DecodeLimits) -> None:
    if not length_bytes:
        raise UnreadablePictureError("empty", "the picture has 0 bytes: send a JPEG, PNG, WebP or BMP")
    if length_bytes > limits.max_bytes:
        raise UnreadablePictureError(
            "oversized", f"the picture has {length_bytes} bytes but {limits.max_bytes} are allowed: make it smaller"
        )


def _refuse_too_many_pixels(size_wh: tuple[int, int], limits: DecodeLimits) -> None:
    width, height = size_wh
    if width * height > limits.max_pixels:
        raise UnreadablePictureError(
            "oversized",
            f"the picture is {width} x {height} pixels but {limits.max_pixels} are allowed: make it smaller",
        )


def _pixels(data: bytes, picture: Image.Image) -> ImageArray:
    """Pixels as they are stored, before orientation."""
    if picture.format in ("JPEG", "MPO"):
        _refuse_jpeg_without_end(data)
        # Three components without an Adobe marker are YCbCr to both libraries; what may be CMYK or RGB is left to Pillow.
        if picture.mode in ("RGB", "L") and "adobe" not in picture.info:
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
            if decoded is not None and decoded.shape[1::-1] == picture.size:
                return np.asarray(decoded, dtype=np.uint8)
    picture.load()
    return _to_rgb(picture)


def _refuse_jpeg_without_end(data: bytes) -> None:
    """A JPEG whose last scan has no end marker was cut, or its tail was never written: decoders would fill in grey."""
    if data.endswith(_JPEG_END) or data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN):
        return
    raise UnreadablePictureError("truncated", "the picture is truncated (no end-of-image marker): send a whole file")


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation 1..8; damaged EXIF beside good pixels counts as upright."""
    try:
        return int(picture.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - parsers raise whatever they like on hostile bytes
        return 1


def _upright(image_rgb: ImageArray, orientation: int) -> ImageArray:
    """Undo an EXIF orientation: 2..4 mirror and turn within the frame, 5..8 swap width and height."""
    if orientation in (5, 6, 7, 8):
        image_rgb = image_rgb.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image_rgb = image_rgb[::-1]
    if orientation in (2, 3, 6, 7):
        image_rgb = image_rgb[:, ::-1]
    return np.ascontiguousarray(image_rgb)


def _to_rgb(picture: Image.Image) -> ImageArray:
    pil = _pillow()
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return np.asarray(picture)
    if picture.mode.startswith("I"):
        grey = (np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        flat = pil.new("RGBA", rgba.size, (0, 0, 0, 255))
        return np.asarray(pil.alpha_composite(flat, rgba).convert("RGB"))
    return np.asarray(picture.convert("RGB"))
