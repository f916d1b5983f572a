"""Perceptual hashes of pictures, and groups of pictures whose hashes are nearly equal.

A 64-bit DCT hash is stable under re-encoding, halving and brightness (distance 0 to 4) and far apart for unrelated scenes
(median 30); a distance of 6 or less means the same picture for our purposes. It does not link the frames of a moving camera.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from belisha.components.shared.images import ImageArray

MAX_DISTANCE_BITS = 6
_SIDE_PX, _LOW = 32, 8
# Every n-th pixel is enough when this many are left a side: what is thrown away is above the frequencies the hash looks at.
_SAMPLES = 4 * _SIDE_PX
_BITS = 64
_MAX_NEIGHBOURS = 4000
_BLOCK = 2048

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.intp]


def perceptual_hash(image_rgb: ImageArray) -> int:
    """64-bit DCT hash of an upright picture: the signs of the 63 lowest frequencies against their median."""
    step_y, step_x = (max(1, length // _SAMPLES) for length in image_rgb.shape[:2])
    green = np.ascontiguousarray(image_rgb[::step_y, ::step_x, 1])
    small = cv2.resize(green, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_LOW, :_LOW].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False  # the mean brightness says nothing about the scene
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def duplicate_groups(hashes: Hashes, max_distance_bits: int = MAX_DISTANCE_BITS) -> Indices:
    """Number of each picture's group of near-duplicates; single pictures get a group of their own.

    Groups are the connected components of "at most `max_distance_bits` bits differ". Two hashes that close agree in at least
    one of `max_distance_bits + 1` bands of bits, so only pictures that share a band are compared: 100,000 pictures take
    seconds. The result is exact as long as at most 4,000 different hashes share a band; beyond that each is compared with its
    4,000 neighbours in the order of the hashes, which bounds the time on hostile data.

    Args:
        hashes: `(n,)` uint64.
        max_distance_bits: 0..63.

    Returns:
        `(n,)` group numbers 0..groups-1.
    """
    unique, group_of_hash = np.unique(hashes, return_inverse=True)
    labels = np.arange(len(unique))
    for band in _bands(max_distance_bits + 1):
        labels = _merged_by_band(unique, labels, band, max_distance_bits)
    return np.asarray(np.unique(labels, return_inverse=True)[1][group_of_hash])


def count_pairs_across(hashes: Hashes, parts: Indices) -> int:
    """How many pairs of pictures are near-duplicates and lie in different parts.

    Args:
        hashes: `(n,)` uint64.
        parts: `(n,)` number of each picture's part.
    """
    groups = duplicate_groups(hashes)
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    torn = [places for places in members if len(places) and np.ptp(parts[places])]
    return sum(_pairs_between_parts(hashes[places], parts[places]) for places in torn)


def _pairs_between_parts(hashes: Hashes, parts: Indices) -> int:
    """The same by comparing each part with all later ones, a block at a time to bound the memory."""
    halves = [(hashes[parts == part], hashes[parts > part]) for part in np.unique(parts)]
    blocks = [_in_blocks(one, other) for one, other in halves]
    close = (np.bitwise_count(a[:, None] ^ b[None, :]) <= MAX_DISTANCE_BITS for a, b in itertools.chain(*blocks))
    return sum(int(near.sum()) for near in close)


def _in_blocks(one: Hashes, other: Hashes) -> Iterator[tuple[Hashes, Hashes]]:
    begins = itertools.product(range(0, len(one), _BLOCK), range(0, len(other), _BLOCK))
    return ((one[a : a + _BLOCK], other[b : b + _BLOCK]) for a, b in begins)


def _bands(count: int) -> list[np.uint64]:
    """Masks that part the 64 bits into `count` bands of nearly equal width."""
    edges = np.linspace(0, _BITS, count + 1).round().astype(int)
    return [np.uint64((1 << int(end)) - (1 << int(start))) for start, end in itertools.pairwise(edges)]


def _merged_by_band(unique: Hashes, labels: Indices, band: np.uint64, max_distance_bits: int) -> Indices:
    """Merge the groups of close hashes that share a band: neighbour by neighbour along the order of the band."""
    order = np.argsort(unique & band, kind="stable")
    ordered, key = unique[order], unique[order] & band
    places = np.arange(len(unique))
    edges: list[tuple[Indices, Indices]] = []
    for step in range(1, min(len(unique), _MAX_NEIGHBOURS + 1)):
        places = places[places < len(unique) - step]
        places = places[key[places] == key[places + step]]
        if not len(places):
            break
        close = places[np.bitwise_count(ordered[places] ^ ordered[places + step]) <= max_distance_bits]
        close = close[labels[order[close]] != labels[order[close + step]]]
        edges.append((order[close], order[close + step]))
        if step & (step - 1) == 0:  # at 1, 2, 4, 8, … steps: what has become one group needs no further comparison
            labels, edges = _merged(labels, edges), []
            places = places[~_settled(labels[order], key)[places]]
    return _merged(labels, edges)


def _merged(labels: Indices, edges: Sequence[tuple[Indices, Indices]]) -> Indices:
    """Labels after the groups at both ends of every edge have become one."""
    if not edges:
        return labels
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first = labels[np.concatenate([left for left, _ in edges])]
    second = labels[np.concatenate([right for _, right in edges])]
    apart = first != second
    graph = coo_array((np.ones(apart.sum(), dtype=bool), (first[apart], second[apart])), shape=(len(labels),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.intp)[labels]


def _settled(labels: Indices, key: Hashes) -> npt.NDArray[np.bool_]:
    """Which places belong to a run of equal keys whose members have all the same label."""
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    one_group = np.minimum.reduceat(labels, starts) == np.maximum.reduceat(labels, starts)
    return np.repeat(one_group, np.diff(np.append(starts, len(key))))
