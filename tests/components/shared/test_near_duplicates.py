from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.shared.images import ImageArray, decode_rgb
from belisha.components.shared.near_duplicates import MAX_DISTANCE, Hashes, duplicate_groups, perceptual_hash


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
    for distance in (0, 3, MAX_DISTANCE):
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


def halved(image: ImageArray) -> ImageArray:
    return np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def recompressed(image: ImageArray) -> ImageArray:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1), dtype=np.uint8)


@pytest.mark.real_data
def test_copies_are_near_and_other_scenes_far(real_data: Path) -> None:
    paths = sorted((real_data / "coco128" / "images" / "train2017").iterdir())[:40]
    images = [decode_rgb(path.read_bytes()) for path in paths]
    hashes = [perceptual_hash(image) for image in images]
    for change in (halved, recompressed):
        distances = [
            (perceptual_hash(change(image)) ^ own).bit_count() for image, own in zip(images, hashes, strict=True)
        ]
        assert np.percentile(distances, 95) <= MAX_DISTANCE
    assert min((a ^ b).bit_count() for a, b in itertools.combinations(hashes, 2)) > 2 * MAX_DISTANCE


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 3000, 3), (32, 32, 3)], ids=str)
def test_odd_shapes_have_a_hash(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    assert 0 <= perceptual_hash(image) < 2**63
