from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from belisha.components.shared.images import ImageArray, decode_rgb
from belisha.components.shared.near_duplicates import (
    MAX_DISTANCE_BITS,
    Hashes,
    count_pairs_across,
    duplicate_groups,
    perceptual_hash,
)
from tests.factories import encoded, street


def slow_groups(hashes: Hashes, max_distance: int) -> set[frozenset[int]]:
    """The same by comparing everything with everything."""
    group = list(range(len(hashes)))
    for a, b in itertools.combinations(range(len(hashes)), 2):
        if int(hashes[a] ^ hashes[b]).bit_count() <= max_distance and group[a] != group[b]:
            group = [group[a] if found == group[b] else found for found in group]
    return partition(np.array(group, dtype=np.intp))


def partition(groups: np.typing.NDArray[np.intp]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(groups == group).tolist()) for group in set(groups.tolist())}


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_groups_equal_those_of_all_pairs(data: st.DataObject) -> None:
    centres = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    flips = st.lists(st.integers(0, 63), max_size=9)
    members = data.draw(st.lists(st.tuples(st.sampled_from(centres), flips), max_size=25))
    values = [centre ^ sum({1 << bit for bit in bits}) for centre, bits in members]
    hashes = np.array(values, dtype=np.uint64)
    for distance in (0, 3, MAX_DISTANCE_BITS):
        assert partition(duplicate_groups(hashes, distance)) == slow_groups(hashes, distance)


def test_groups_are_numbered_without_gaps() -> None:
    groups = duplicate_groups(np.array([0, 2**64 - 1, 1, 2**40 - 1], dtype=np.uint64))
    assert sorted(set(groups.tolist())) == [0, 1, 2]
    assert groups[0] == groups[2]


def test_of_no_pictures_there_are_no_groups() -> None:
    assert duplicate_groups(np.array([], dtype=np.uint64)).tolist() == []


def test_many_nearly_equal_pictures_stay_one_group() -> None:
    bits = np.random.default_rng(0).integers(0, 64, (2, 30_000), dtype=np.uint64)
    hashes = np.uint64(0x0123456789ABCDEF) ^ (np.uint64(1) << bits[0]) ^ (np.uint64(1) << bits[1])
    assert duplicate_groups(hashes).max() == 0


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_pairs_across_parts_equal_those_of_all_pairs(data: st.DataObject) -> None:
    centres = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3))
    flips = st.lists(st.integers(0, 63), max_size=5)
    members = data.draw(st.lists(st.tuples(st.sampled_from(centres), flips, st.integers(0, 2)), max_size=25))
    values = [centre ^ sum({1 << bit for bit in bits}) for centre, bits, _ in members]
    parts = [part for _, _, part in members]
    expected = sum(
        parts[a] != parts[b] and (values[a] ^ values[b]).bit_count() <= MAX_DISTANCE_BITS
        for a, b in itertools.combinations(range(len(values)), 2)
    )
    assert count_pairs_across(np.array(values, dtype=np.uint64), np.array(parts, dtype=np.intp)) == expected


def test_pairs_across_parts_are_counted_over_several_blocks() -> None:
    parts = np.array([0] * 3000 + [1] * 2500 + [2], dtype=np.int8)
    assert count_pairs_across(np.zeros(5501, dtype=np.uint64), parts) == 3000 * 2500 + 5500


def resized(image: ImageArray) -> ImageArray:
    return np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.uint8)


COPIES = {
    "strong compression": lambda image: encoded(image, quality=40),
    "as PNG": lambda image: encoded(image, extension=".png"),
    "half the size": lambda image: encoded(resized(image)),
    "brighter": lambda image: encoded((image.astype(np.float32) * 1.1).clip(0, 255).astype(np.uint8)),
}


@pytest.mark.real_data
@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES.keys())
def test_copies_of_real_pictures_are_near(real_data: Path, change: Callable[[ImageArray], bytes]) -> None:
    for path in sorted((real_data / "voc61" / "images").glob("*.jpg"))[:12]:
        image = decode_rgb(path.read_bytes())
        distance = (perceptual_hash(image) ^ perceptual_hash(decode_rgb(change(image)))).bit_count()
        assert distance <= MAX_DISTANCE_BITS, path.name


@pytest.mark.real_data
@pytest.mark.parametrize("change", [COPIES["strong compression"], COPIES["half the size"]], ids=["compressed", "half"])
def test_most_copies_of_everyday_pictures_are_near(real_data: Path, change: Callable[[ImageArray], bytes]) -> None:
    images = [decode_rgb(path.read_bytes()) for path in everyday_pictures(real_data)]
    distances = [(perceptual_hash(image) ^ perceptual_hash(decode_rgb(change(image)))).bit_count() for image in images]
    assert np.percentile(distances, 95) <= MAX_DISTANCE_BITS


@pytest.mark.real_data
def test_strangers_among_real_pictures_are_far(real_data: Path) -> None:
    streets = sorted((real_data / "voc61" / "images").glob("*.jpg"))
    for paths, least_bits in (
        (streets, MAX_DISTANCE_BITS + 1),
        (everyday_pictures(real_data), 2 * MAX_DISTANCE_BITS + 1),
    ):
        hashes = [perceptual_hash(decode_rgb(path.read_bytes())) for path in paths]
        assert min((a ^ b).bit_count() for a, b in itertools.combinations(hashes, 2)) >= least_bits


def everyday_pictures(real_data: Path) -> list[Path]:
    return sorted((real_data / "coco128" / "images" / "train2017").iterdir())[:40]


def test_picture_on_its_side_is_hashed_upright(tmp_path: Path) -> None:
    image, _ = street(3, 640, 480)
    lying = Image.fromarray(image).rotate(90, expand=True)
    exif = lying.getexif()
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.jpg", exif=exif, quality=95)
    found = perceptual_hash(decode_rgb((tmp_path / "lying.jpg").read_bytes()))
    assert (found ^ perceptual_hash(image)).bit_count() <= MAX_DISTANCE_BITS


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 3000, 3), (32, 32, 3)], ids=str)
def test_odd_shapes_have_a_hash(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    assert 0 <= perceptual_hash(image) < 2**63
