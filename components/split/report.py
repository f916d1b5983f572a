"""The split's report: shares, conditions, group sizes, notes, and sample pictures of the parts that are open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from belisha.components.shared import report
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.inference import read_image
from belisha.components.shared.manifest import MANIFEST_FILE, Picture, boxes_of, iter_pictures
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.splits import Part
from belisha.components.split.assign import PARTS, QUARANTINE
from belisha.components.split.columns import IntArray
from belisha.components.split.resolve import Assignment

_SAMPLES_PER_PART = 4
# Ids are digests, so the first rows of a manifest are a fair sample of it.
_SAMPLE_ROWS = 2048
_BAR_PX = 420
_LEGEND = ((report.GREEN, "pedestrian"), (report.GREY, "region to ignore"))
_COLOURS = {Part.TRAIN: "#3b75af", Part.VAL: "#e8a33d", Part.TEST: "#c44536", Part.QUARANTINE: "#8c8c8c"}


def write_split_report(
    path: Path, info: Mapping[str, Any], assignment: Assignment, parts: IntArray, dataset_dir: Path
) -> None:
    """Write the report of a split whose `split.json` says `info`; `parts` holds each row's part number."""
    pictures, groups = info["pictures"], info["groups"]
    lead = ", ".join(
        f"{pictures[part]:,} pictures in {groups[part]:,} groups for {part}" for part in PARTS[:QUARANTINE]
    )
    sections = [
        report.Section("What to know", [report.paragraph(note) for note in info["notes"]]),
        report.Section("Parts", [_parts_table(info)]),
        report.Section(
            "Conditions", [_conditions_bars(info["conditions"]), _conditions_table(info)], _balance_sentence(info)
        ),
        report.Section("Groups", [_sizes_bars(assignment)], _leaks_sentence(info)),
        report.Section(
            "Samples",
            [report.legend(_LEGEND), _samples(dataset_dir, parts)],
            "The test part is sealed, so none of its pictures is shown.",
        ),
    ]
    report.write_report(path, f"Split of {info['name']}", f"{lead}.", sections)


def _parts_table(info: Mapping[str, Any]) -> report.Markup:
    total = max(1, sum(info["pictures"].values()))
    rows = [
        [part, info["pictures"][part], info["pictures"][part] / total, info["ratios"].get(part), info["groups"][part],
         info["pedestrians"][part]]
        for part in PARTS
    ]  # fmt: skip
    return report.table(["part", "pictures", "share", "wanted", "groups", "pedestrians"], rows)


def _conditions_table(info: Mapping[str, Any]) -> report.Markup:
    rows = [[name, *(counts[part] for part in PARTS)] for name, counts in info["conditions"].items()]
    return report.table(["condition", *PARTS], rows, "Pictures")


def _conditions_bars(conditions: Mapping[str, Mapping[str, int]]) -> report.Markup:
    rows = [
        [name, _bar([counts[part] / max(1, sum(counts.values())) for part in PARTS])]
        for name, counts in conditions.items()
    ]
    return report.table(["condition", " · ".join(PARTS)], rows, "Share of each condition's pictures in the parts")


def _sizes_bars(assignment: Assignment) -> report.Markup:
    """How many groups of which size, doubling from row to row."""
    sizes = np.bincount(assignment.codes, minlength=len(assignment.names))
    power = np.floor(np.log2(sizes)).astype(np.int64)
    counts = np.bincount(power * len(PARTS) + assignment.part_of_group, minlength=(int(power.max()) + 1) * len(PARTS))
    table = counts.reshape(-1, len(PARTS))
    most = table.sum(axis=1).max()
    rows = [[f"{2**p:,}–{2 ** (p + 1) - 1:,}", int(row.sum()), _bar(list(row / most))] for p, row in enumerate(table)]
    return report.table(["pictures in a group", "groups", " · ".join(PARTS)], rows, "Sizes of groups")


def _bar(shares: Sequence[float]) -> report.Markup:
    """A bar of one coloured piece a part; light enough to need no plotting library."""
    piece = report.Markup(
        '<span title="{}" style="background:{};width:{:.4f}px;height:14px;display:inline-block"></span>'
    )
    pieces = [
        piece.format(f"{part} {share:.2f}", _COLOURS[part], share * _BAR_PX)
        for part, share in zip(PARTS, shares, strict=True)
    ]
    return report.Markup('<span style="display:flex;width:{}px">{}</span>').format(
        _BAR_PX, report.Markup("").join(pieces)
    )


def _balance_sentence(info: Mapping[str, Any]) -> str:
    found = info["balance"]
    if found is None:
        return "There is one condition only, so there is nothing to balance."
    numbers = f"chi-square {found['statistic']:.2f}, {found['degrees']} degrees of freedom"
    if found["p_value"] is None:
        return f"Counted in groups: {numbers}; some cells are too small for a p-value."
    return f"Counted in groups: {numbers}, p = {found['p_value']:.3g} for an even spread."


def _leaks_sentence(info: Mapping[str, Any]) -> str:
    leaks = info["leaks"]
    return (
        f"Checked after splitting: {leaks['groups']} groups in two parts, {leaks['pictures']} pictures twice, "
        f"{leaks['alike_pairs']} look-alike pairs across parts ({leaks['looked_at']} pictures compared by their look)."
    )


def _samples(dataset_dir: Path, parts: IntArray) -> report.Markup:
    with pq.ParquetFile(dataset_dir / MANIFEST_FILE) as file:
        first = next(file.iter_batches(batch_size=_SAMPLE_ROWS))
    reader = PictureReader()
    shown = []
    for part in (Part.TRAIN, Part.VAL):
        rows = np.flatnonzero(parts[: len(first)] == PARTS.index(part))[:_SAMPLES_PER_PART]
        table = pa.Table.from_batches([first]).take(pa.array(rows))
        shown += [_sample(picture, part, reader) for picture in iter_pictures(table)]
    return report.gallery(shown)


def _sample(picture: Picture, part: Part, reader: PictureReader) -> report.Markup:
    caption = " · ".join(text for text in (part.value, picture.condition, picture.camera or picture.group_id) if text)
    try:
        image_rgb = read_image(picture, reader)
    except BelishaError as error:
        return report.paragraph(f"{caption}: {error}", tone="warn")
    layers = [
        report.BoxLayer(boxes_of(picture, ignore=False), report.GREEN),
        report.BoxLayer(boxes_of(picture, ignore=True), report.GREY),
    ]
    return report.picture(image_rgb, caption, layers)
