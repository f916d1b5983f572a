from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from belisha.components.shared.images import DecodeLimits, ImageArray, UnreadablePictureError, decode_rgb


def scene(width: int = 60, height: int = 40) -> ImageArray:
    """A smooth picture no flip or turn of which equals itself."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x * 3 % 256, y * 5 % 256, (x + 2 * y) % 256], axis=2).astype(np.uint8)


def encoded(picture: Image.Image, name: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, name, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def rgb() -> Image.Image:
    return Image.fromarray(scene())


def pillow_rgb(data: bytes) -> ImageArray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


EXACT = {
    "png rgb": encoded(rgb(), "PNG"),
    "bmp": encoded(rgb(), "BMP"),
    "webp lossless": encoded(rgb(), "WEBP", lossless=True),
    "png palette": encoded(rgb().quantize(256), "PNG"),
    "png grey": encoded(rgb().convert("L"), "PNG"),
    "png one bit": encoded(rgb().convert("1"), "PNG"),
    "jpeg": encoded(rgb(), quality=90),
    "jpeg progressive": encoded(rgb(), progressive=True),
    "jpeg grey": encoded(rgb().convert("L")),
    "jpeg cmyk": encoded(rgb().convert("CMYK")),
    "jpeg unsubsampled": encoded(rgb(), subsampling=0, quality=97),
    "jpeg odd size": encoded(Image.fromarray(scene(61, 37))),
    "jpeg with a tail after its end": encoded(rgb()) + b"\0" * 100,
    "jpeg of one pixel": encoded(Image.fromarray(scene(1, 1))),
}


@pytest.mark.parametrize("data", EXACT.values(), ids=EXACT.keys())
def test_gives_the_pixels_that_pillow_gives(data: bytes) -> None:
    image = decode_rgb(data)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, pillow_rgb(data))


def test_of_a_multi_picture_file_the_first_picture() -> None:
    second = Image.fromarray(255 - scene())
    data = encoded(rgb(), "MPO", save_all=True, append_images=[second])
    np.testing.assert_array_equal(decode_rgb(data), pillow_rgb(data))


@pytest.mark.real_data
def test_photographs_decode_to_pillows_pixels(real_data: Path) -> None:
    for path in sorted((real_data / "coco128" / "images" / "train2017").iterdir())[:40]:
        data = path.read_bytes()
        np.testing.assert_array_equal(decode_rgb(data), pillow_rgb(data), err_msg=path.name)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_upright_by_exif(orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(rgb(), name, exif=exif)
    image = decode_rgb(data)
    np.testing.assert_array_equal(image, pillow_rgb(data))
    assert image.shape[:2] == ((40, 60) if orientation < 5 else (60, 40))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_beside_good_pixels_counts_as_upright() -> None:
    data = encoded(rgb(), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert decode_rgb(data).shape == (40, 60, 3)


def test_sixteen_bit_grey_keeps_its_high_byte() -> None:
    grey = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    image = decode_rgb(encoded(Image.fromarray(grey), "PNG"))
    assert image[0, :, 0].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_transparency_lies_on_black(name: str) -> None:
    rgba = np.dstack([np.full((4, 4, 3), 200, np.uint8), np.repeat([[0, 255, 255, 0]], 4, axis=0).astype(np.uint8)])
    options = {"lossless": True} if name == "WEBP" else {}
    image = decode_rgb(encoded(Image.fromarray(rgba), name, **options))
    assert image[0, :, 0].tolist() == [0, 200, 200, 0]


def test_one_transparent_colour_lies_on_black() -> None:
    image = np.full((4, 4, 3), 200, np.uint8)
    image[0] = (10, 20, 30)
    decoded = decode_rgb(encoded(Image.fromarray(image), "PNG", transparency=(10, 20, 30)))
    assert decoded[0].max() == 0
    assert decoded[1].min() == 200


def test_of_an_animation_the_first_picture() -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (0, 250)]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert decode_rgb(data).max() < 10


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b"")]
    body = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def halved(name: str, **options: object) -> Callable[[], bytes]:
    def cut() -> bytes:
        data = encoded(Image.fromarray(scene(320, 240)), name, **options)
        return data[: len(data) // 2]

    return cut


def zero_tail() -> bytes:
    data = encoded(Image.fromarray(scene(320, 240)))
    return data[: len(data) // 2] + bytes(len(data) // 2)


REFUSED = {
    "nothing": (lambda: b"", "empty"),
    "text": (lambda: b"hello, I am no picture", "not_a_picture"),
    "gif": (lambda: encoded(rgb(), "GIF"), "not_a_picture"),
    "tiff": (lambda: encoded(rgb(), "TIFF"), "not_a_picture"),
    "only a jpeg's first bytes": (lambda: b"\xff\xd8\xff\xe0", "not_a_picture"),
    "jpeg cut in half": (halved("JPEG"), "truncated"),
    "progressive jpeg cut in half": (halved("JPEG", progressive=True), "truncated"),
    "cmyk-like jpeg without its last bytes": (lambda: encoded(rgb().convert("CMYK"))[:-30], "truncated"),
    "jpeg whose tail was never written": (zero_tail, "truncated"),
    "png cut in half": (halved("PNG"), "truncated"),
    "bmp cut in half": (halved("BMP"), "truncated"),
    "webp cut in half": (halved("WEBP"), None),
    "a png bomb's header": (lambda: png_header(60_000, 60_000), "oversized"),
    "a png just over the bound": (lambda: png_header(10_001, 10_000), "oversized"),
    "a header without pixels": (lambda: png_header(100, 100), None),
}


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses_with_a_reason_and_a_sentence(make: Callable[[], bytes], reason: str | None) -> None:
    with pytest.raises(UnreadablePictureError) as caught:
        decode_rgb(make())
    assert caught.value.reason in ({reason} if reason else {"truncated", "damaged", "not_a_picture"})
    assert ":" in str(caught.value)


def test_bounds_are_settings() -> None:
    data = EXACT["jpeg"]
    with pytest.raises(UnreadablePictureError, match="bytes"):
        decode_rgb(data, DecodeLimits(max_bytes=len(data) - 1))
    with pytest.raises(UnreadablePictureError, match="60 x 40"):
        decode_rgb(data, DecodeLimits(max_pixels=60 * 40 - 1))
    assert decode_rgb(data, DecodeLimits(len(data), 60 * 40)).shape == (40, 60, 3)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(EXACT)), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6))
def test_flipped_bytes_give_a_picture_or_a_sentence(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(EXACT[name])
    for place, value in changes:
        data[place % len(data)] = value
    try:
        image = decode_rgb(bytes(data), DecodeLimits(max_pixels=1_000_000))
    except UnreadablePictureError:
        return
    assert image.ndim == 3
    assert image.shape[2] == 3
