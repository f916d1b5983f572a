"""Pictures for the data card: samples with boxes drawn, and near-duplicates side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np

from belisha.components.shared.images import ImageArray
from belisha.components.shared.inference import read_image
from belisha.components.shared.manifest import Picture, boxes_of
from belisha.components.shared.near_duplicates import MAX_DISTANCE_BITS, duplicate_groups
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.report import (
    AMBER,
    GREEN,
    BoxLayer,
    Markup,
    Section,
    gallery,
    legend,
    paragraph,
    picture,
)

_SAMPLES = 8
_SHOWN_WIDTH_PX = 720
_DUPLICATE_GROUPS = 3
_PICTURES_A_GROUP = 2


def sample_section(pictures: Sequence[Picture]) -> Section:
    """A few pictures with their boxes, of every condition and source, those with people first."""
    reader = PictureReader()
    shown = [_drawn(found, reader) for found in _varied(pictures, _SAMPLES)]
    key = legend([(GREEN, "pedestrian"), (AMBER, "ignore region")])
    return Section("Samples", [key, gallery(shown)])


def _varied(pictures: Sequence[Picture], count: int) -> list[Picture]:
    """Picks in turn from each condition and source; the ids are digests, so their order is as good as a draw."""
    by_kind: dict[tuple[str, str], list[Picture]] = defaultdict(list)
    for found in sorted(pictures, key=lambda one: (not one.boxes, one.image_id)):
        kind = by_kind[(found.source, found.condition)]
        if len(kind) < count:
            kind.append(found)
    in_turn = [(rank, kind, found) for kind, members in by_kind.items() for rank, found in enumerate(members)]
    return [found for _, _, found in sorted(in_turn, key=lambda one: one[:2])[:count]]


def _drawn(found: Picture, reader: PictureReader) -> Markup:
    image_rgb, factor = _reduced(read_image(found, reader))
    layers = [
        BoxLayer(boxes_of(found, ignore=True) / factor, AMBER),
        BoxLayer(boxes_of(found, ignore=False) / factor, GREEN),
    ]
    words = [found.source, found.condition, found.camera, f"{found.width_px} x {found.height_px}", found.image_id[:10]]
    return picture(image_rgb, ", ".join(word for word in words if word), layers)


def _reduced(image_rgb: ImageArray) -> tuple[ImageArray, int]:
    """The picture at a whole fraction of its size, at most 720 pixels wide: far cheaper than any other fraction."""
    height, width = image_rgb.shape[:2]
    factor = -(-width // _SHOWN_WIDTH_PX)
    if factor == 1 or height < factor:
        return image_rgb, 1
    size_wh = (width // factor, height // factor)
    whole = image_rgb[: size_wh[1] * factor, : size_wh[0] * factor]
    return np.asarray(cv2.resize(whole, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8), factor


def duplicate_sections(pictures: Sequence[Picture], hashes: Sequence[int]) -> list[Section]:
    """What is nearly the same picture more than once; a split must keep such pictures together."""
    groups = duplicate_groups(np.array(hashes, dtype=np.uint64))
    sizes = np.bincount(groups)
    repeated = np.flatnonzero(sizes > 1)
    title = "Near-duplicates"
    if not len(repeated):
        lead = f"No two pictures are nearly the same (perceptual hashes differ by more than {MAX_DISTANCE_BITS} of 64 bits)."
        return [Section(title, [paragraph("none", tone="good")], lead)]
    lead = (
        f"{int(sizes[repeated].sum()):,} pictures lie in {len(repeated):,} groups of pictures that are nearly the same "
        f"(perceptual hashes at most {MAX_DISTANCE_BITS} of 64 bits apart); the largest has {int(sizes.max()):,}."
    )
    largest = repeated[np.argsort(-sizes[repeated], kind="stable")][:_DUPLICATE_GROUPS]
    reader = PictureReader()
    members = [pictures[place] for group in largest for place in np.flatnonzero(groups == group)[:_PICTURES_A_GROUP]]
    return [Section(title, [gallery([_drawn(found, reader) for found in members])], lead)]
