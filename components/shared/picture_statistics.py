"""Numbers that say what a picture looks like without looking for anybody on it: what drift is measured by.

They are taken on a copy of at most 320 pixels' width, so that they cost about a millisecond whatever the camera.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from belisha.components.shared.images import ImageArray

ANALYSIS_WIDTH_PX = 320
# Grey levels below and above which a pixel counts as dark and as saturated.
DARK_LEVEL = 30
SATURATED_LEVEL = 250
_LOG_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class PictureStatistics:
    """Statistics of one picture.

    Attributes:
        brightness: mean grey level, 0..1.
        contrast: standard deviation of the grey level, 0..0.5.
        sharpness_log: natural logarithm of the variance of the Laplacian of the grey levels 0..255.
        colourfulness: Hasler and Süsstrunk's measure (2003) on 0..255 channels, 0 for grey.
        entropy_bits: of the 256-bin grey histogram, 0..8.
        noise: mean absolute residual to the 3x3 median, in grey levels 0..255.
        dark_ratio: share of pixels darker than 30 of 255.
        saturated_ratio: share of pixels brighter than 250 of 255.
        megapixels: of the original picture.
        aspect_ratio: width over height of the original picture.
    """

    brightness: float
    contrast: float
    sharpness_log: float
    colourfulness: float
    entropy_bits: float
    noise: float
    dark_ratio: float
    saturated_ratio: float
    megapixels: float
    aspect_ratio: float

    def values(self) -> tuple[float, ...]:
        """The numbers in the order of `STATISTIC_NAMES`."""
        return astuple(self)


STATISTIC_NAMES = tuple(item.name for item in fields(PictureStatistics))


def picture_statistics(image_rgb: ImageArray) -> PictureStatistics:
    """Statistics of a `(height, width, 3)` uint8 RGB picture; every number is finite."""
    height_px, width_px = image_rgb.shape[:2]
    small = _at_analysis_size(image_rgb)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    histogram = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel() / grey.size
    laplacian = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))[1].item() ** 2
    return PictureStatistics(
        brightness=mean.item() / 255,
        contrast=deviation.item() / 255,
        sharpness_log=float(np.log(laplacian + _LOG_FLOOR)),
        colourfulness=_colourfulness(small),
        entropy_bits=_entropy_bits(histogram),
        noise=float(cv2.mean(cv2.absdiff(grey, cv2.medianBlur(grey, 3)))[0]),
        dark_ratio=float(histogram[:DARK_LEVEL].sum()),
        saturated_ratio=float(histogram[SATURATED_LEVEL + 1 :].sum()),
        megapixels=width_px * height_px / 1e6,
        aspect_ratio=width_px / height_px,
    )


def _at_analysis_size(image_rgb: ImageArray) -> ImageArray:
    """Nearest-neighbour sampling keeps the noise that averaging would hide."""
    height_px, width_px = image_rgb.shape[:2]
    if width_px <= ANALYSIS_WIDTH_PX:
        return np.ascontiguousarray(image_rgb)
    size_wh = (ANALYSIS_WIDTH_PX, max(1, round(height_px * ANALYSIS_WIDTH_PX / width_px)))
    return np.asarray(cv2.resize(image_rgb, size_wh, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def _colourfulness(image_rgb: ImageArray) -> float:
    red, green, blue = (channel.astype(np.float32) for channel in cv2.split(image_rgb))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    offset = np.hypot(red_green.mean(), yellow_blue.mean())
    return float(spread + 0.3 * offset)


def _entropy_bits(histogram: npt.NDArray[np.floating]) -> float:
    filled = histogram[histogram > 0]
    return float(max(0.0, -(filled * np.log2(filled)).sum()))
