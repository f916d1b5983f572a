"""One row a picture: which ones fail, for people who look for them and for tables that join on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from belisha.components.validate.parts import PartData


def per_image_rows(part: PartData, score_threshold: float) -> Iterator[dict[str, Any]]:
    """Rows as `PER_IMAGE_ARROW_SCHEMA` says, in the order of the part's pictures."""
    truth, detections = part.truth, part.detections
    images = truth.n_images
    served = detections.scores >= score_threshold
    ignored = np.bincount(truth.box_image[truth.ignore], minlength=images)
    pedestrians = np.bincount(truth.box_image[~truth.ignore], minlength=images)
    found = np.bincount(detections.image[served & part.right], minlength=images)
    wrong = np.bincount(detections.image[served & part.wrong], minlength=images)
    best = _highest(images, detections.image, detections.scores)
    worst = _highest(images, detections.image[part.wrong], detections.scores[part.wrong])
    for index, picture in enumerate(part.pictures):
        yield {
            "image_id": picture.image_id,
            "part": part.name,
            "group_id": part.groups[index],
            "condition": picture.condition,
            "pedestrians": int(pedestrians[index]),
            "ignored": int(ignored[index]),
            "true_positives": int(found[index]),
            "false_positives": int(wrong[index]),
            "false_negatives": int(pedestrians[index] - found[index]),
            "best_score": best[index],
            "worst_false_alarm_score": worst[index],
        }


def _highest(images: int, image: npt.NDArray[np.intp], scores: npt.NDArray[np.float64]) -> list[float | None]:
    """Highest score a picture; None where it has none."""
    highest = np.full(images, -np.inf)
    np.maximum.at(highest, image, scores)
    return [float(score) if np.isfinite(score) else None for score in highest]
