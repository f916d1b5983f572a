"""What happens to street pictures: weather, lenses, sensors and lines, in five severities; a few lines of OpenCV each."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from belisha.components.shared.images import ImageArray

Change = Callable[[ImageArray, int, np.random.Generator], ImageArray]
SEVERITIES = (1, 2, 3, 4, 5)


def night(image: ImageArray, severity: int, _rng: np.random.Generator) -> ImageArray:
    gamma = (1.4, 1.9, 2.5, 3.2, 4.0)[severity - 1]
    return np.asarray(cv2.LUT(image, (255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)))


def rain(image: ImageArray, severity: int, rng: np.random.Generator) -> ImageArray:
    height, width = image.shape[:2]
    drops = (rng.random((height, width)) < (0.002, 0.004, 0.008, 0.014, 0.02)[severity - 1]).astype(np.float32) * 255
    kernel = np.zeros((15, 15), np.float32)
    cv2.line(kernel, (9, 0), (5, 14), 0.35)
    streaks = np.minimum(cv2.filter2D(drops, -1, kernel), 120)
    return np.asarray((image * (1 - 0.03 * severity) + streaks[:, :, None]).clip(0, 255), np.uint8)


def fog(image: ImageArray, severity: int, _rng: np.random.Generator) -> ImageArray:
    share = (0.1, 0.2, 0.3, 0.45, 0.6)[severity - 1]
    return np.asarray(cv2.addWeighted(image, 1 - share, np.full_like(image, 205), share, 0))


def blur(image: ImageArray, severity: int, _rng: np.random.Generator) -> ImageArray:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), (0.4, 0.6, 0.85, 1.4, 2.2)[severity - 1]))


def noise(image: ImageArray, severity: int, rng: np.random.Generator) -> ImageArray:
    deviation = (3, 6, 10, 16, 25)[severity - 1]
    return np.asarray((image + rng.normal(0, deviation, image.shape)).clip(0, 255), np.uint8)


def low_resolution(image: ImageArray, severity: int, _rng: np.random.Generator) -> ImageArray:
    """Scaled down and up again; half of the resolution at severity 3."""
    height, width = image.shape[:2]
    scale = (0.8, 0.65, 0.5, 0.35, 0.25)[severity - 1]
    small = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


CHANGES: dict[str, Change] = {
    "night": night, "rain": rain, "fog": fog, "blur": blur, "noise": noise, "low resolution": low_resolution,
}  # fmt: skip
