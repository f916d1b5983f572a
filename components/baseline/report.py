"""The baselines' report: what they reach, where the constant boxes stand, and examples of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from belisha.components.baseline.heat_map import HeatMap
from belisha.components.shared import report
from belisha.components.shared.detections import Detections
from belisha.components.shared.evaluation import Summary
from belisha.components.shared.images import ImageArray
from belisha.components.shared.inference import read_image
from belisha.components.shared.manifest import Picture, boxes_of
from belisha.components.shared.picture_store import PictureReader

_EXAMPLES = 6
_BOXES_SHOWN = 8
_HEAT_SIDE_PX = (360, 640)
_LEGEND = ((report.GREEN, "labelled"), (report.RED, "HOG"), (report.BLUE, "the best constant boxes"))
_NAMES = {"hog": "HOG (Dalal and Triggs, as OpenCV ships it)", "heatmap": "constant boxes"}


def write_baseline_report(
    path: Path,
    summaries: Mapping[str, Summary],
    notes: Sequence[str],
    heat_map: HeatMap,
    test: Sequence[Picture],
    detections: Mapping[str, Mapping[str, Detections]],
) -> None:
    """Write the report."""
    sections = [
        report.Section("What to know", [report.paragraph(note) for note in notes]),
        report.Section("Metrics on the test part", [_metrics(summaries)]),
        report.Section("Constant boxes", [_heat(heat_map)], "Learned from the training part alone."),
        report.Section("Examples", [report.legend(_LEGEND), _examples(test, detections)]),
    ]
    lead = "What any model has to beat: a detector of 2005, and a detector that answers without looking."
    report.write_report(path, "Baselines", lead, sections)


def _metrics(summaries: Mapping[str, Summary]) -> report.Markup:
    subsets = list(next(iter(summaries.values())).mr2)
    headers = ["baseline", "AP50", "AP50-95", *(f"MR⁻² {subset}" for subset in subsets), "detections"]
    rows = [
        [_NAMES[name], found.ap50, found.ap50_95, *(found.mr2[subset] for subset in subsets), found.detections]
        for name, found in summaries.items()
    ]
    return report.table(headers, rows, "Ratios; lower is better for MR⁻², a dash where there are too few pictures")


def _heat(heat_map: HeatMap) -> report.Markup:
    """The boxes' scores summed over a picture's area, with the best boxes drawn."""
    height_px, width_px = _HEAT_SIDE_PX
    heat = np.zeros(_HEAT_SIDE_PX)
    found = heat_map.on(width_px, height_px)
    for (x, y, width, height), score in zip(found.boxes_xywh_px, found.scores, strict=True):
        heat[round(y) : round(y + height), round(x) : round(x + width)] += score
    shade = (255 * heat / max(heat.max(), 1e-9)).astype(np.uint8)
    image: ImageArray = np.stack([shade, shade // 2, 64 - shade // 4], axis=2).astype(np.uint8)
    best = report.BoxLayer(
        found.boxes_xywh_px[:_BOXES_SHOWN], report.GREEN, [f"{score:.2f}" for score in found.scores[:_BOXES_SHOWN]]
    )
    caption = (
        f"{len(found)} boxes; the number is the share of {heat_map.pictures} training pictures where it finds somebody"
    )
    return report.picture(image, caption, [best])


def _examples(test: Sequence[Picture], detections: Mapping[str, Mapping[str, Detections]]) -> report.Markup:
    with_people = [picture for picture in test if len(boxes_of(picture, ignore=False))]
    reader = PictureReader()
    return report.gallery([_example(picture, detections, reader) for picture in with_people[:_EXAMPLES]])


def _example(
    picture: Picture, detections: Mapping[str, Mapping[str, Detections]], reader: PictureReader
) -> report.Markup:
    hog, constant = (detections[name][picture.image_id] for name in ("hog", "heatmap"))
    layers = [
        report.BoxLayer(constant.boxes_xywh_px[:_BOXES_SHOWN], report.BLUE),
        report.BoxLayer(
            hog.boxes_xywh_px[:_BOXES_SHOWN], report.RED, [f"{score:.2f}" for score in hog.scores[:_BOXES_SHOWN]]
        ),
        report.BoxLayer(boxes_of(picture, ignore=False), report.GREEN),
    ]
    caption = " · ".join(text for text in (picture.condition, picture.camera or picture.group_id) if text)
    return report.picture(read_image(picture, reader), caption or picture.source, layers)
