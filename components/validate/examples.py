"""Pictures for people: the worst misses, the worst false alarms, and what an ordinary good answer looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from belisha.components.shared.boxes import FloatArray, iou
from belisha.components.shared.images import ImageArray
from belisha.components.shared.manifest import Picture
from belisha.components.shared.report import AMBER, BLUE, GREEN, GREY, RED, BoxLayer, Markup, crop_around, picture
from belisha.components.validate.parts import PartData

MISSES = 9
FALSE_ALARMS = 9
GOOD_ONES = 6
PER_GROUP = 2
_CROP_WIDTH_PX = 420
_SUBJECT_LINE_PX = 3
_NEAR_IOU = 0.1
LEGEND = (
    (GREEN, "labelled and found"),
    (BLUE, "found, with its score"),
    (AMBER, "labelled and missed"),
    (RED, "false alarm"),
    (GREY, "ignored region"),
)

IndexArray = npt.NDArray[np.intp]
ReadImage = Callable[[Picture], ImageArray]


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture's boxes, sorted by what became of them at the serving threshold."""

    found_truth: FloatArray
    missed: FloatArray
    ignored: FloatArray
    right: FloatArray
    right_scores: FloatArray
    false: FloatArray
    false_scores: FloatArray

    def layers(self, offset_px: tuple[int, int] = (0, 0), *, line_px: int = 2) -> list[BoxLayer]:
        """Layers for a crop that begins at `offset_px` (left, top)."""
        shift = np.array([*offset_px, 0, 0], dtype=np.float64)
        return [
            BoxLayer(self.ignored - shift, GREY, (), line_px),
            BoxLayer(self.found_truth - shift, GREEN, (), line_px),
            BoxLayer(self.missed - shift, AMBER, (), line_px),
            BoxLayer(self.right - shift, BLUE, [f"{score:.2f}" for score in self.right_scores], line_px),
            BoxLayer(self.false - shift, RED, [f"{score:.2f}" for score in self.false_scores], line_px),
        ]


def scene_of(part: PartData, image: int, score_threshold: float) -> Scene:
    """The boxes of the `image`-th picture of a part."""
    truth, detections = part.truth, part.detections
    boxes = truth.box_image == image
    hit = part.outcomes.best_score >= score_threshold
    returned = (detections.image == image) & (detections.scores >= score_threshold)
    right, false = returned & part.right, returned & part.wrong
    return Scene(
        found_truth=truth.boxes_xywh_px[boxes & ~truth.ignore & hit],
        missed=truth.boxes_xywh_px[boxes & ~truth.ignore & ~hit],
        ignored=truth.boxes_xywh_px[boxes & truth.ignore],
        right=detections.boxes_xywh_px[right],
        right_scores=detections.scores[right],
        false=detections.boxes_xywh_px[false],
        false_scores=detections.scores[false],
    )


def worst_misses(part: PartData, score_threshold: float, read: ReadImage) -> list[Markup]:
    """Missed pedestrians, the tallest and best visible first: those a person would never miss."""
    truth = part.truth
    missed = np.flatnonzero(~truth.ignore & (part.outcomes.best_score < score_threshold))
    weight = truth.boxes_xywh_px[missed, 3] * truth.visible_ratio[missed]
    ranked = missed[np.argsort(-weight, kind="stable")]
    chosen = _spread(ranked, truth.group_index[truth.box_image[ranked]], MISSES)
    return [_miss(part, int(box), score_threshold, read) for box in chosen]


def worst_false_alarms(part: PartData, score_threshold: float, read: ReadImage) -> list[Markup]:
    """Boxes that are wrong, the surest first."""
    detections = part.detections
    wrong = np.flatnonzero(part.wrong & (detections.scores >= score_threshold))
    ranked = wrong[np.argsort(-detections.scores[wrong], kind="stable")]
    chosen = _spread(ranked, part.truth.group_index[detections.image[ranked]], FALSE_ALARMS)
    return [_false_alarm(part, int(index), score_threshold, read) for index in chosen]


def good_ones(part: PartData, score_threshold: float, read: ReadImage) -> list[Markup]:
    """Pictures without any error; ids are digests, so their order is a repeatable draw."""
    chosen = []
    for index, _ in enumerate(part.pictures):
        scene = scene_of(part, index, score_threshold)
        if len(scene.right) and not len(scene.missed) and not len(scene.false):
            chosen.append((index, scene))
        if len(chosen) == GOOD_ONES:
            break
    return [
        picture(read(part.pictures[index]), _place(part.pictures[index]), scene.layers(), min_width_px=_CROP_WIDTH_PX)
        for index, scene in chosen
    ]


def _spread(ranked: IndexArray, groups: IndexArray, most: int) -> list[int]:
    """The first of a ranking, at most two of a group: ten frames of one sequence show one failure ten times."""
    taken: dict[int, int] = {}
    chosen = []
    for item, group in zip(ranked, groups, strict=True):
        taken[int(group)] = taken.get(int(group), 0) + 1
        if taken[int(group)] <= PER_GROUP:
            chosen.append(int(item))
        if len(chosen) == most:
            break
    return chosen


def _miss(part: PartData, box: int, score_threshold: float, read: ReadImage) -> Markup:
    truth, detections = part.truth, part.detections
    image, target = int(truth.box_image[box]), truth.boxes_xywh_px[box]
    weak = np.flatnonzero(detections.image == image)
    overlaps = iou(target[None], detections.boxes_xywh_px[weak])[0]
    near = weak[overlaps >= 0.5]
    score = part.outcomes.best_score[box]
    if np.isfinite(score):
        why = f"seen, but scored only {score:.2f}"
    elif len(near):
        why = f"its best box (score {detections.scores[near].max():.2f}) was given to a neighbour"
    else:
        why = f"no box overlaps it enough (best IoU {overlaps.max(initial=0):.2f})"
    caption = (
        f"Missed, {target[3]:.0f} px high{_visible(truth.visible_ratio[box])}: {why}. {_place(part.pictures[image])}"
    )
    subject = BoxLayer(target[None], AMBER, ["missed"], _SUBJECT_LINE_PX)
    return _cropped(part, image, subject, caption, score_threshold, read)


def _false_alarm(part: PartData, index: int, score_threshold: float, read: ReadImage) -> Markup:
    truth, detections = part.truth, part.detections
    image, box = int(detections.image[index]), detections.boxes_xywh_px[index]
    there = truth.boxes_xywh_px[(truth.box_image == image) & ~truth.ignore]
    best = float(iou(box[None], there)[0].max(initial=0))
    if best >= 0.5:
        why = "second box on one pedestrian"
    elif best >= _NEAR_IOU:
        why = f"badly placed (best IoU {best:.2f}), or several pedestrians in one box"
    else:
        why = "nobody is labelled there"
    caption = f"False alarm, score {detections.scores[index]:.2f}: {why}. {_place(part.pictures[image])}"
    subject = BoxLayer(box[None], RED, [f"false {detections.scores[index]:.2f}"], _SUBJECT_LINE_PX)
    return _cropped(part, image, subject, caption, score_threshold, read)


def _cropped(
    part: PartData, image: int, subject: BoxLayer, caption: str, score_threshold: float, read: ReadImage
) -> Markup:
    """The subject with thick lines among its neighbours with thin ones."""
    crop, offset = crop_around(read(part.pictures[image]), subject.boxes_xywh_px[0])
    layers = scene_of(part, image, score_threshold).layers(offset, line_px=1)
    shifted = replace(subject, boxes_xywh_px=subject.boxes_xywh_px - np.array([*offset, 0, 0], dtype=np.float64))
    return picture(crop, caption, [*layers, shifted], min_width_px=_CROP_WIDTH_PX)


def _visible(ratio: float) -> str:
    return f", {ratio:.0%} visible" if ratio < 1 else ""


def _place(found: Picture) -> str:
    words = [found.condition, found.camera or found.source, found.image_id[:12]]
    return ", ".join(word for word in words if word)
