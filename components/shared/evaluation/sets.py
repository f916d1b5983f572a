"""Ground truth and detections of many pictures as flat arrays: what every figure of the evaluation is computed from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.shared.detections import Detections
from belisha.components.shared.errors import ContractError
from belisha.components.shared.manifest import Picture

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """The labels of `n_images` pictures, `n_boxes` boxes in all.

    Attributes:
        image_ids: one a picture; the order fixes how equal scores of different pictures are ranked.
        group_index: `(n_images,)` 0-based number of the group (sequence, camera and time, …) that is resampled as one.
        image_height_px: `(n_images,)` height of each picture; 0 where unknown.
        box_image: `(n_boxes,)` index of the picture that each box lies on.
        boxes_xywh_px: `(n_boxes, 4)` [x, y, width, height].
        ignore: `(n_boxes,)` regions where detections count neither as right nor as wrong.
        visible_ratio: `(n_boxes,)` visible area over full area, 0..1; 1 where unknown.
        labelled_height_px: `(n_boxes,)` heights that the subsets judge, where the source states them apart from the boxes;
            None: those of the boxes.
    """

    image_ids: tuple[str, ...]
    group_index: IndexArray
    image_height_px: FloatArray
    box_image: IndexArray
    boxes_xywh_px: FloatArray
    ignore: BoolArray
    visible_ratio: FloatArray
    labelled_height_px: FloatArray | None = None

    @property
    def n_images(self) -> int:
        """Pictures, those without boxes included."""
        return len(self.image_ids)

    @property
    def pedestrians(self) -> int:
        """Boxes that count."""
        return int(np.count_nonzero(~self.ignore))

    @property
    def box_height_px(self) -> FloatArray:
        """`(n_boxes,)` heights that the subsets judge."""
        return self.boxes_xywh_px[:, 3] if self.labelled_height_px is None else self.labelled_height_px


@dataclass(frozen=True, slots=True)
class DetectionSet:
    """What one detector says about the pictures of an `EvaluationSet`, in any order.

    Attributes:
        image: `(m,)` index of the picture.
        boxes_xywh_px: `(m, 4)` [x, y, width, height].
        scores: `(m,)` higher is surer; finite.
    """

    image: IndexArray
    boxes_xywh_px: FloatArray
    scores: FloatArray

    def __len__(self) -> int:
        return len(self.scores)


def evaluation_set(pictures: Sequence[Picture], group_of: Mapping[str, str]) -> EvaluationSet:
    """Flatten labelled pictures.

    Args:
        pictures: in the order in which equal scores are to be ranked.
        group_of: image_id to group_id; a picture it does not name belongs to its own `group_id`, or else stands alone.
    """
    boxes = [(index, box) for index, picture in enumerate(pictures) for box in picture.boxes]
    groups = [group_of.get(picture.image_id) or picture.group_id or picture.image_id for picture in pictures]
    number_of = {group: number for number, group in enumerate(sorted(set(groups)))}
    geometry = [(box.x, box.y, box.width, box.height) for _, box in boxes]
    visible = [1.0 if box.visible_ratio is None else box.visible_ratio for _, box in boxes]
    return EvaluationSet(
        image_ids=tuple(picture.image_id for picture in pictures),
        group_index=np.array([number_of[group] for group in groups], dtype=np.intp),
        image_height_px=np.array([picture.height_px for picture in pictures], dtype=np.float64),
        box_image=np.array([index for index, _ in boxes], dtype=np.intp),
        boxes_xywh_px=np.array(geometry, dtype=np.float64).reshape(-1, 4),
        ignore=np.array([box.ignore for _, box in boxes], dtype=np.bool_),
        visible_ratio=np.array(visible, dtype=np.float64),
    )


def detection_set(truth: EvaluationSet, by_image: Mapping[str, Detections]) -> DetectionSet:
    """Flatten the detections on the pictures of `truth`.

    Args:
        truth: the pictures.
        by_image: image_id to detections; one entry a picture, an empty one where nothing was found.

    Raises:
        ContractError: a picture has no entry, an entry has no picture, or a box or score is not finite.
    """
    missing = [image_id for image_id in truth.image_ids if image_id not in by_image]
    if missing or len(by_image) != truth.n_images:
        unknown = len(by_image) - (truth.n_images - len(missing))
        raise ContractError(
            f"the detections do not fit the pictures: {len(missing)} pictures have none and {unknown} are unknown "
            f"(of {truth.n_images}): run the detector on exactly these pictures"
        )
    found = [by_image[image_id] for image_id in truth.image_ids]
    counts = np.array([len(detections) for detections in found], dtype=np.intp)
    boxes = np.concatenate([np.zeros((0, 4)), *(detections.boxes_xywh_px for detections in found)]).astype(np.float64)
    scores = np.concatenate([np.zeros(0), *(detections.scores for detections in found)]).astype(np.float64)
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ContractError("a detection has a box or a score that is not a finite number: run the detector again")
    return DetectionSet(np.repeat(np.arange(truth.n_images, dtype=np.intp), counts), boxes, scores)


def only_images(truth: EvaluationSet, image_mask: BoolArray) -> EvaluationSet:
    """The pictures where `image_mask` `(n_images,)` is true, with their boxes; cut detections by `detections_on`."""
    new_index = np.cumsum(image_mask) - 1
    kept = image_mask[truth.box_image]
    groups = np.unique(truth.group_index[image_mask], return_inverse=True)[1]
    labelled = truth.labelled_height_px
    return EvaluationSet(
        image_ids=tuple(image_id for image_id, keep in zip(truth.image_ids, image_mask, strict=True) if keep),
        group_index=groups.astype(np.intp),
        image_height_px=truth.image_height_px[image_mask],
        box_image=new_index[truth.box_image[kept]],
        boxes_xywh_px=truth.boxes_xywh_px[kept],
        ignore=truth.ignore[kept],
        visible_ratio=truth.visible_ratio[kept],
        labelled_height_px=None if labelled is None else labelled[kept],
    )


def detections_on(detections: DetectionSet, image_mask: BoolArray) -> DetectionSet:
    """The detections on the pictures that `only_images(truth, image_mask)` keeps, renumbered alike."""
    new_index = np.cumsum(image_mask) - 1
    kept = image_mask[detections.image]
    return DetectionSet(new_index[detections.image[kept]], detections.boxes_xywh_px[kept], detections.scores[kept])


def only_boxes(truth: EvaluationSet, box_mask: BoolArray) -> EvaluationSet:
    """The same pictures, where boxes outside `box_mask` `(n_boxes,)` become regions to ignore, never background."""
    return dataclasses.replace(truth, ignore=truth.ignore | ~box_mask)


def detections_of_height(
    detections: DetectionSet, low_px: float, high_px: float, *, expand: float = 1.25
) -> DetectionSet:
    """Detections with `low / expand <= height < high * expand`: a slice by height does not punish those of other heights.

    The expanded filtering of Dollár et al., "Pedestrian Detection: An Evaluation of the State of the Art", 2012.
    """
    heights = detections.boxes_xywh_px[:, 3]
    kept = (heights >= low_px / expand) & (heights < high_px * expand)
    return DetectionSet(detections.image[kept], detections.boxes_xywh_px[kept], detections.scores[kept])
