"""Numbers that say what a picture looks like without looking for anybody on it: what drift is measured by.

They are taken on a copy of at most 320 pixels' width, so that they cost about a millisecond whatever the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from operator import attrgetter

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
        values: tuple[float, ...] = _VALUES(self)
        return values


STATISTIC_NAMES = tuple(item.name for item in fields(PictureStatistics))
_VALUES = attrgetter(*STATISTIC_NAMES)


@dataclass(frozen=True, slots=True)
class AnalysisCopy:
    """What statistics need of a picture; cheapest to take while its pixels are still in the processor's cache.

    Attributes:
        small_rgb: `(h, w, 3)` uint8, `w` at most 320.
        width_px: of the picture itself.
        height_px: of the picture itself.
    """

    small_rgb: ImageArray
    width_px: int
    height_px: int


def analysis_copy(image_rgb: ImageArray) -> AnalysisCopy:
    """Copy a `(height, width, 3)` uint8 RGB picture; nearest-neighbour sampling keeps the noise that averaging would hide."""
    height_px, width_px = image_rgb.shape[:2]
    if width_px <= ANALYSIS_WIDTH_PX:
        return AnalysisCopy(np.ascontiguousarray(image_rgb), width_px, height_px)
    size_wh = (ANALYSIS_WIDTH_PX, max(1, round(height_px * ANALYSIS_WIDTH_PX / width_px)))
    small_rgb = np.asarray(cv2.resize(image_rgb, size_wh, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    return AnalysisCopy(small_rgb, width_px, height_px)


def picture_statistics(image_rgb: ImageArray) -> PictureStatistics:
    """Statistics of a `(height, width, 3)` uint8 RGB picture; every number is finite."""
    return statistics_of(analysis_copy(image_rgb))


def statistics_of(picture: AnalysisCopy) -> PictureStatistics:
    """Statistics of a picture by its copy; every number is finite."""
    grey = np.asarray(cv2.cvtColor(picture.small_rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    mean, deviation = cv2.meanStdDev(grey)
    histogram = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel() / grey.size
    return PictureStatistics(
        brightness=mean.item() / 255,
        contrast=deviation.item() / 255,
        sharpness_log=math.log(_laplacian_variance(grey) + _LOG_FLOOR),
        colourfulness=_colourfulness(picture.small_rgb),
        entropy_bits=_entropy_bits(histogram),
        noise=cv2.norm(grey, cv2.medianBlur(grey, 3), cv2.NORM_L1) / grey.size,
        dark_ratio=float(histogram[:DARK_LEVEL].sum()),
        saturated_ratio=float(histogram[SATURATED_LEVEL + 1 :].sum()),
        megapixels=picture.width_px * picture.height_px / 1e6,
        aspect_ratio=picture.width_px / picture.height_px,
    )


def _laplacian_variance(grey: ImageArray) -> float:
    laplacian = cv2.Laplacian(grey, cv2.CV_16S)
    return _variance(cv2.norm(laplacian, cv2.NORM_L2SQR), cv2.sumElems(laplacian)[0], laplacian.size)


def _colourfulness(image_rgb: ImageArray) -> float:
    """Of the opponents red - green and (red + green) / 2 - blue, from sums of whole numbers, which are exact and quick.

    The second one's squares come from those of the differences of channels: |a + b|² = 2|a|² + 2|b|² - |a - b|².
    """
    red, green, blue = cv2.split(image_rgb)
    red_sum, green_sum, blue_sum, _ = cv2.sumElems(image_rgb)
    red_green, red_blue, green_blue = (
        cv2.norm(one, other, cv2.NORM_L2SQR) for one, other in ((red, green), (red, blue), (green, blue))
    )
    yellow_blue, yellow_blue_sum = (2 * red_blue + 2 * green_blue - red_green) / 4, (red_sum + green_sum) / 2 - blue_sum
    spread = _variance(red_green, red_sum - green_sum, red.size) + _variance(yellow_blue, yellow_blue_sum, red.size)
    return math.sqrt(spread) + 0.3 * math.hypot(red_sum - green_sum, yellow_blue_sum) / red.size


def _variance(sum_of_squares: float, total: float, count: int) -> float:
    """Never below 0, whatever rounding does to it."""
    return max(0.0, sum_of_squares / count - (total / count) ** 2)


def _entropy_bits(histogram: npt.NDArray[np.floating]) -> float:
    filled = histogram[histogram > 0]
    return max(0.0, -float(np.dot(filled, np.log2(filled))))
