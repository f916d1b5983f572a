"""Encoded pictures to upright RGB arrays, with every doubt turned into a sentence before memory is spent."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.shared.errors import InputError

ImageArray = npt.NDArray[np.uint8]

# 50 MB and 100 megapixels admit every camera we know of and bound what one hostile file may cost.
MAX_BYTES = 50_000_000
MAX_PIXELS = 100_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "MPO")
_ORIENTATION_TAG = 0x0112


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
        `(height, width, 3)` uint8, RGB. Transparency is put on black, 16-bit grey is scaled to 8.

    Raises:
        UnreadablePictureError: empty, oversized, not a picture, truncated or damaged; nothing was decoded beyond the header
            for the first three.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data:
        raise UnreadablePictureError("empty", "the picture has 0 bytes: send a JPEG, PNG, WebP or BMP")
    if len(data) > limits.max_bytes:
        raise UnreadablePictureError(
            "oversized", f"the picture has {len(data)} bytes but {limits.max_bytes} are allowed: make it smaller"
        )
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _refuse_too_many_pixels(picture.size, limits)
            picture.load()
            upright = ImageOps.exif_transpose(picture) if picture.getexif().get(_ORIENTATION_TAG, 1) != 1 else picture
            return _to_rgb(upright)
    except UnreadablePictureError:
        raise
    except Image.DecompressionBombError:
        raise UnreadablePictureError(
            "oversized", f"the picture has more than {limits.max_pixels} pixels: make it smaller"
        ) from None
    except UnidentifiedImageError:
        raise UnreadablePictureError(
            "not_a_picture", "the bytes are not a JPEG, PNG, WebP or BMP: send one of these"
        ) from None
    except Exception as error:  # noqa: BLE001 - decoders raise whatever they like on hostile bytes
        reason = "truncated" if "truncated" in str(error) else "damaged"
        raise UnreadablePictureError(
            reason, f"the picture is {reason} ({type(error).__name__}): send a whole file"
        ) from None


def _refuse_too_many_pixels(size_wh: tuple[int, int], limits: DecodeLimits) -> None:
    width, height = size_wh
    if width * height > limits.max_pixels:
        raise UnreadablePictureError(
            "oversized",
            f"the picture is {width} x {height} pixels but {limits.max_pixels} are allowed: make it smaller",
        )


def _to_rgb(picture: object) -> ImageArray:
    from PIL import Image

    assert isinstance(picture, Image.Image)
    if picture.mode == "RGB":
        return np.asarray(picture)
    if picture.mode.startswith("I;16") or picture.mode == "I":
        grey = (np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        flat = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return np.asarray(Image.alpha_composite(flat, rgba).convert("RGB"))
    return np.asarray(picture.convert("RGB"))
