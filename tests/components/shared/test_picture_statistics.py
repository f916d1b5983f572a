"""Picture statistics answer to what they are named after, and are finite on any picture."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.shared.images import ImageArray
from belisha.components.shared.picture_statistics import STATISTIC_NAMES, picture_statistics


def scene(seed: int = 0, height: int = 240, width: int = 320) -> ImageArray:
    """A blurred random picture in mid tones: smooth, coloured, with structure."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 190, (height // 16, width // 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def noisy(image: ImageArray) -> ImageArray:
    return (image + np.random.default_rng(1).normal(0, 10, image.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "name", "up"),
    [
        pytest.param(lambda image: image // 3, "brightness", False, id="night is darker"),
        pytest.param(lambda image: image // 3, "dark_ratio", True, id="night has dark pixels"),
        pytest.param(lambda image: (image * 0.4 + 140).astype(np.uint8), "contrast", False, id="fog takes contrast"),
        pytest.param(
            lambda image: cv2.GaussianBlur(noisy(image), (5, 5), 0), "noise", True, id="some noise is left by blur"
        ),
        pytest.param(noisy, "noise", True, id="noise"),
        pytest.param(noisy, "sharpness_log", True, id="noise looks sharp"),
        pytest.param(
            lambda image: cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
            "colourfulness",
            False,
            id="grey has no colour",
        ),
        pytest.param(lambda image: np.full_like(image, 255), "saturated_ratio", True, id="white"),
        pytest.param(lambda image: np.full_like(image, 100), "entropy_bits", False, id="flat has no entropy"),
        pytest.param(lambda image: image[:, :160], "aspect_ratio", False, id="narrower"),
        pytest.param(lambda image: np.asarray(cv2.resize(image, (640, 480))), "megapixels", True, id="larger"),
    ],
)
def test_each_statistic_answers_to_its_name(change: Callable[[ImageArray], ImageArray], name: str, up: bool) -> None:
    before, after = (getattr(picture_statistics(image), name) for image in (scene(), np.asarray(change(scene()))))
    assert (after > before) is up
    assert after != before


@given(height=st.integers(1, 40), width=st.integers(1, 700), seed=st.integers(0, 9))
def test_every_picture_gives_finite_numbers(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    values = picture_statistics(image).values()
    assert len(values) == len(STATISTIC_NAMES)
    assert np.isfinite(values).all()


@given(height=st.integers(1, 40), width=st.integers(1, 320), spread=st.integers(0, 255), seed=st.integers(0, 9))
def test_sums_of_whole_numbers_give_what_the_definitions_give(height: int, width: int, spread: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 1 + spread, (height, width, 3), dtype=np.uint8)
    red, green, blue = image.astype(np.float64).transpose(2, 0, 1)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    found = picture_statistics(image)
    assert found.colourfulness == pytest.approx(
        np.hypot(red_green.std(), yellow_blue.std()) + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()), abs=1e-6
    )
    assert found.sharpness_log == pytest.approx(np.log(cv2.Laplacian(grey, cv2.CV_64F).var() + 1e-6), abs=1e-6)
    assert found.noise == pytest.approx(np.abs(grey - cv2.medianBlur(grey, 3).astype(np.float64)).mean())


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_picture_is_a_first_class_case(level: int) -> None:
    found = picture_statistics(np.full((10, 10, 3), level, np.uint8))
    assert found.brightness == pytest.approx(level / 255)
    assert (found.contrast, found.colourfulness, found.entropy_bits, found.noise) == (0, 0, 0, 0)
