"""The picture with the boxes drawn, for callers that ask for a JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from belisha.components.shared.detections import Detections
from belisha.components.shared.images import ImageArray
from belisha.components.shared.report import GREEN, BoxLayer, draw

_JPEG_QUALITY = 90
_PICTURE_PX_PER_LINE_PX = 640


def drawn_jpeg(image_rgb: ImageArray, detections: Detections) -> bytes:
    """A JPEG of the picture at its own size, each box with its score."""
    width_px = image_rgb.shape[1]
    line_px = max(2, round(width_px / _PICTURE_PX_PER_LINE_PX))
    labels = [f"{score:.2f}" for score in detections.scores]
    layer = BoxLayer(detections.boxes_xywh_px, GREEN, labels, line_px)
    canvas = draw(image_rgb, [layer], max_width_px=width_px)
    bgr = np.ascontiguousarray(canvas[:, :, ::-1])
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])
