"""Our letterbox is ultralytics' letterbox, bit for bit, and boxes find their way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.shared.errors import ContractError
from belisha.components.shared.preprocessing import PreprocessingSpec, letterbox_of, preprocess

sides = st.integers(1, 700)
model_sides = st.sampled_from([32, 64, 96, 320, 352, 640])


@settings(max_examples=150, deadline=None)
@given(height=sides, width=sides, model_height=model_sides, model_width=model_sides, seed=st.integers(0, 9))
def test_equals_ultralytics(height: int, width: int, model_height: int, model_width: int, seed: int) -> None:
    gain = min(model_height / height, model_width / width)
    if round(height * gain) < 1 or round(width * gain) < 1:
        return  # a side of no pixel at all: ultralytics cannot resize it
    from belisha.components.train import environment

    environment.prepare()
    from ultralytics.data.augment import LetterBox

    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    tensor, _ = preprocess(image, PreprocessingSpec(height_px=model_height, width_px=model_width))
    theirs = LetterBox(new_shape=(model_height, model_width), auto=False)(image=image)
    expected = (theirs.transpose(2, 0, 1)[None].astype(np.float32)) / np.float32(255)
    np.testing.assert_allclose(tensor, expected, rtol=0, atol=1e-7)
    assert np.array_equal((tensor * 255).round().astype(np.uint8), theirs.transpose(2, 0, 1)[None])


@settings(max_examples=100, deadline=None)
@given(height=st.integers(8, 3000), width=st.integers(8, 3000), model_side=model_sides)
def test_boxes_come_back(height: int, width: int, model_side: int) -> None:
    geometry, resized_wh = letterbox_of(height, width, PreprocessingSpec(model_side, model_side))
    corners = np.array([[0, 0, *resized_wh]], dtype=np.float64)
    corners += [geometry.pad_left_px, geometry.pad_top_px] * 2
    back = geometry.to_picture(corners)[0]
    assert back[:2] == pytest.approx([0, 0])
    tolerance = 0.51 / geometry.gain + 1e-6
    assert abs(back[2] - width) <= tolerance
    assert abs(back[3] - height) <= tolerance


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"height_px": 320, "width_px": 320, "letterbox": False}, id="no letterbox"),
        pytest.param({"height_px": 320, "width_px": 320, "channel_order": "BGR"}, id="other channel order"),
        pytest.param({"height_px": 320, "width_px": 320, "mean": 0.5}, id="unknown key"),
        pytest.param({"height_px": 320}, id="missing key"),
    ],
)
def test_unknown_specs_are_refused(value: dict[str, object]) -> None:
    with pytest.raises(ContractError, match="export the model again"):
        PreprocessingSpec.from_json(value)


def test_spec_survives_json() -> None:
    spec = PreprocessingSpec(384, 640, pad_value=0)
    assert PreprocessingSpec.from_json(spec.to_json()) == spec
