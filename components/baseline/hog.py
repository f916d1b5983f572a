"""The HOG people detector that ships with OpenCV (Dalal and Triggs 2005), as a `Detector`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from belisha.components.shared.boxes import clip_xywh, xywh_to_xyxy
from belisha.components.shared.detections import Detections, no_detections
from belisha.components.shared.images import ImageArray
from belisha.components.shared.nms import greedy_nms

_WINDOW_WIDTH_PX, _WINDOW_HEIGHT_PX = 64, 128


@dataclass(frozen=True, slots=True)
class HogSettings:
    """How the detector is run.

    Attributes:
        stride_px: step of the sliding window, and the padding around the picture.
        scale_step: ratio between two levels of the pyramid.
        upscale: enlargement that lets the 128-pixel window see people of half its height.
        max_scanned_px: a picture is enlarged no further than to this many pixels, and shrunk to it: time grows with them.
        hit_threshold: least distance from the classifier's plane.
        width_ratio: share of the window's width that the person takes: its margin is part of what was learned.
        height_ratio: likewise of its height.
        nms_iou: overlap above which the weaker of two boxes goes.
    """

    stride_px: int = 8
    scale_step: float = 1.05
    upscale: float = 2.0
    max_scanned_px: int = 2_100_000
    hit_threshold: float = 0.0
    width_ratio: float = 0.5
    height_ratio: float = 0.8
    nms_iou: float = 0.65


class HogDetector:
    """People by histograms of oriented gradients; scores are distances from the classifier's plane, good for ranking."""

    def __init__(self, settings: HogSettings = HogSettings()) -> None:
        self._settings = settings
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector(), dtype=np.float32))

    def detect(self, image_rgb: ImageArray, *, score_threshold: float | None = None) -> Detections:
        """Boxes on a `(height, width, 3)` uint8 RGB picture, best first; safe to call from several threads."""
        height_px, width_px = image_rgb.shape[:2]
        factor = self._factor(width_px * height_px)
        scanned = _resized(image_rgb, factor)
        if scanned.shape[0] < _WINDOW_HEIGHT_PX or scanned.shape[1] < _WINDOW_WIDTH_PX:
            return no_detections()
        found = self._in_window_frame(scanned)
        boxes = clip_xywh(self._without_margin(found.boxes_xywh_px.astype(np.float64)) / factor, width_px, height_px)
        kept = greedy_nms(xywh_to_xyxy(boxes), self._settings.nms_iou)
        kept = kept[(boxes[kept, 2:] > 0).all(axis=1)]
        detections = Detections(boxes[kept].astype(np.float32), found.scores[kept])
        return detections if score_threshold is None else detections.above(score_threshold)

    def _factor(self, pixels: int) -> float:
        return min(self._settings.upscale, math.sqrt(self._settings.max_scanned_px / pixels))

    def _in_window_frame(self, scanned: ImageArray) -> Detections:
        """Raw windows, best first."""
        stride = (self._settings.stride_px, self._settings.stride_px)
        windows, margins = self._hog.detectMultiScale(
            scanned,
            hitThreshold=self._settings.hit_threshold,
            winStride=stride,
            padding=stride,
            scale=self._settings.scale_step,
            groupThreshold=0,
        )
        # Both are empty tuples when nothing is found.
        boxes = np.array(windows, dtype=np.float32).reshape(-1, 4)
        scores = np.array(margins, dtype=np.float32).reshape(-1)
        order = np.lexsort((*boxes.T, -scores))
        return Detections(boxes[order], scores[order])

    def _without_margin(self, windows: np.ndarray) -> np.ndarray:
        """Boxes of people from boxes of windows with the same centre."""
        shrunk = windows[:, 2:] * (self._settings.width_ratio, self._settings.height_ratio)
        return np.concatenate([windows[:, :2] + (windows[:, 2:] - shrunk) / 2, shrunk], axis=1)


def _resized(image_rgb: ImageArray, factor: float) -> ImageArray:
    """The picture at another size, in OpenCV's order of channels."""
    bgr = np.ascontiguousarray(image_rgb[:, :, ::-1])
    if factor == 1.0:
        return bgr
    interpolation = cv2.INTER_LINEAR if factor > 1 else cv2.INTER_AREA
    return np.asarray(cv2.resize(bgr, None, fx=factor, fy=factor, interpolation=interpolation), dtype=np.uint8)
