"""Perceptual hashes: copies are near, strangers are far, and no close pair is missed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.shared.errors import InputError, NotFoundError
from belisha.components.shared.images import ImageArray, decode_rgb
from belisha.components.shared.progress import silent
from belisha.components.split.near_duplicates import (
    MAX_DISTANCE_BITS,
    components,
    hash_pictures,
    near_pairs,
    perceptual_hash,
)
from tests.factories import encoded, fake_id, stored, street


def distance(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def resized(image: ImageArray, factor: float) -> ImageArray:
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), dtype=np.uint8)


COPIES = {
    "strong compression": lambda image: encoded(image, quality=40),
    "as PNG": lambda image: encoded(image, extension=".png"),
    "half the size": lambda image: encoded(resized(image, 0.5)),
    "brighter": lambda image: encoded((image.astype(np.float32) * 1.1).clip(0, 255).astype(np.uint8)),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES.keys())
def test_copies_of_real_pictures_are_near(real_data: Path, change: object) -> None:
    for path in sorted((real_data / "voc61/images").glob("*.jpg"))[:12]:
        data = path.read_bytes()
        assert distance(perceptual_hash(data), perceptual_hash(change(decode_rgb(data)))) <= MAX_DISTANCE_BITS


def test_strangers_among_real_pictures_are_far(real_data: Path) -> None:
    paths = sorted((real_data / "voc61/images").glob("*.jpg"))
    hashes = np.array([perceptual_hash(path.read_bytes()) for path in paths], dtype=np.uint64)
    assert len(near_pairs(hashes)) == 0


def test_picture_on_its_side_is_hashed_upright(tmp_path: Path) -> None:
    from PIL import Image

    image, _ = street(3, 640, 480)
    upright = Image.fromarray(image)
    lying = upright.rotate(90, expand=True)
    exif = lying.getexif()
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.jpg", exif=exif, quality=95)
    assert distance(perceptual_hash((tmp_path / "lying.jpg").read_bytes()), perceptual_hash(encoded(image))) <= 6


def test_decoding_at_a_fraction_gives_the_same_hash() -> None:
    image, _ = street(5, 1280, 960)
    assert distance(perceptual_hash(encoded(image)), perceptual_hash(encoded(image, extension=".png"))) <= 2


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8\xff", b"not a picture", encoded(street(1)[0])[:200]],
    ids=["empty", "header", "text", "cut"],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        perceptual_hash(data)


def test_pictures_are_hashed_in_order_and_missing_ones_named(tmp_path: Path) -> None:
    storage = str(tmp_path / "storage")
    pictures = [stored(street(seed)[0], storage) for seed in range(5)]
    found = hash_pictures([p.uri for p in pictures], [p.image_id for p in pictures], silent, workers=3)
    assert [int(value) for value in found] == [perceptual_hash(encoded(street(seed)[0])) for seed in range(5)]
    gone = fake_id(1)
    with pytest.raises(NotFoundError, match=gone):
        hash_pictures([f"file://{tmp_path}/storage/pictures/{gone[:2]}/{gone}"], [gone], silent)


def brute_force_components(hashes: np.ndarray) -> list[int]:
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= MAX_DISTANCE_BITS
    return components(len(hashes), np.argwhere(near)).tolist()


BITS = st.integers(0, 2**64 - 1)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(BITS, min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.sets(st.integers(0, 63), max_size=8))),
)
def test_pairs_give_the_components_of_comparing_all(bases: list[int], flips: list[tuple[int, set[int]]]) -> None:
    changed = [bases[base % len(bases)] ^ sum(1 << bit for bit in bits) for base, bits in flips]
    hashes = np.array(bases + changed, dtype=np.uint64)
    assert components(len(hashes), near_pairs(hashes)).tolist() == brute_force_components(hashes)


def test_many_pictures_of_one_hash_stay_few_pairs() -> None:
    pairs = near_pairs(np.zeros(5000, dtype=np.uint64))
    assert len(pairs) == 4999
    assert len(set(components(5000, pairs).tolist())) == 1


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count: int) -> None:
    assert near_pairs(np.zeros(count, dtype=np.uint64)).shape == (0, 2)
