"""Near-duplicate pictures by perceptual hash: re-encoded, resized and slightly cropped copies of one picture.

The hash is the usual 64-bit DCT one: the sign against the median of the 8 x 8 lowest frequencies of a 32 x 32 grey
picture. It does not link neighbouring frames of a moving camera; sequences and capture times do that.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from belisha.components.shared.errors import InputError
from belisha.components.shared.images import UnreadablePictureError, decode_rgb
from belisha.components.shared.inference import map_bounded, usable_cpus
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.progress import ProgressSink, tracked

HashArray = npt.NDArray[np.uint64]
PairArray = npt.NDArray[np.int64]

# Measured: copies differ by up to 6 bits, unrelated scenes by 8 at the least and 30 in the median.
MAX_DISTANCE_BITS = 6
_SIDE_PX, _LOW = 32, 8
# Of seven bands of bits at least one agrees exactly when at most six bits differ.
_BANDS = tuple(np.array_split(np.arange(64, dtype=np.uint64), MAX_DISTANCE_BITS + 1))
_BLOCK = 2048
_JPEG_BEGINS = b"\xff\xd8"
_REDUCED = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2}


def hash_pictures(
    uris: Sequence[str], image_ids: Sequence[str], progress: ProgressSink, *, workers: int = 0
) -> HashArray:
    """Perceptual hashes of pictures where they lie, `(n,)` uint64 in the order given.

    Raises:
        DigestError, NotFoundError, StorageError, InputError: a picture is damaged, gone or out of reach.
    """
    reader = PictureReader()

    def hash_one(place: tuple[str, str]) -> int:
        try:
            return perceptual_hash(reader.read(*place))
        except UnreadablePictureError as error:
            raise InputError(f"{place[0]}: {error}, and acquire the data again") from None

    found = map_bounded(hash_one, list(zip(uris, image_ids, strict=True)), workers or usable_cpus())
    shown = tracked(found, progress, step="near-duplicates", unit="pictures", total=len(uris))
    return np.fromiter(shown, dtype=np.uint64, count=len(uris))


def perceptual_hash(data: bytes) -> int:
    """64-bit DCT hash of an encoded picture; raises InputError when it cannot be decoded."""
    grey = cv2.resize(_grey(data), (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    low = cv2.dct(grey.astype(np.float32))[:_LOW, :_LOW].ravel()
    bits = low > np.median(low)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _grey(data: bytes) -> npt.NDArray[np.uint8]:
    """Grey pixels, upright. A large JPEG is decoded at a fraction of its size, which the hash cannot see."""
    short_side_px = _jpeg_short_side_px(data)
    for factor, flag in _REDUCED.items():
        if short_side_px >= 2 * _SIDE_PX * factor:
            found = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flag)
            if found is not None:
                return np.asarray(found, dtype=np.uint8)
    return np.asarray(cv2.cvtColor(decode_rgb(data), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _jpeg_short_side_px(data: bytes) -> int:
    """The shorter side of a JPEG by its header; 0 for anything else."""
    from PIL import Image

    if not data.startswith(_JPEG_BEGINS):
        return 0
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as header:
            return min(header.size)
    except (OSError, SyntaxError):
        return 0


def near_pairs(hashes: HashArray) -> PairArray:
    """Pairs that link everything within MAX_DISTANCE_BITS, `(m, 2)` indices with the smaller one first.

    Of pictures with one and the same hash each is paired with the first alone: enough to find components, and a thousand
    black pictures stay a thousand pairs.
    """
    distinct, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    own = np.arange(len(hashes))
    same = np.stack([first[inverse], own], axis=1)[first[inverse] != own]
    found = [pairs for band in _BANDS for pairs in _band_pairs(distinct, band)]
    near = np.sort(first[np.concatenate([np.zeros((0, 2), dtype=np.int64), *found])], axis=1)
    return np.unique(np.concatenate([near, same]), axis=0).astype(np.int64)


def _band_pairs(hashes: HashArray, bits: HashArray) -> Iterator[PairArray]:
    """Close pairs among those that agree in one band of bits."""
    band = hashes & np.bitwise_or.reduce(np.uint64(1) << bits)
    order = np.argsort(band, kind="stable")
    edges = np.flatnonzero(np.diff(band[order])) + 1
    for bucket in np.split(order, edges):
        for begin in range(0, len(bucket) - 1, _BLOCK):
            for other in range(begin, len(bucket), _BLOCK):
                yield _close(hashes, bucket[begin : begin + _BLOCK], bucket[other : other + _BLOCK])


def _close(hashes: HashArray, a: PairArray, b: PairArray) -> PairArray:
    distance = np.bitwise_count(hashes[a][:, None] ^ hashes[b][None, :])
    at_a, at_b = np.nonzero(distance <= MAX_DISTANCE_BITS)
    pairs = np.stack([a[at_a], b[at_b]], axis=1)
    return np.asarray(pairs[pairs[:, 0] != pairs[:, 1]])


def components(count: int, pairs: PairArray) -> npt.NDArray[np.int32]:
    """Component number of each of `count` nodes, numbered by their first node."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int32)
