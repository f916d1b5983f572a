"""What stands in the way of loading a model is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from belisha.components.shared.errors import ContractError, InputError
from belisha.components.shared.runtimes import ONNX_RUNTIME, open_runtime


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08\x07" * 100], ids=["empty", "text", "noise"])
def test_a_file_that_is_no_model_is_named(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)

    with pytest.raises(ContractError, match=r"model\.onnx cannot be loaded by onnxruntime") as caught:
        open_runtime(ONNX_RUNTIME, path)
    assert "\n" not in str(caught.value)


def test_an_unknown_runtime_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose onnxruntime or openvino"):
        open_runtime("mnn", tmp_path / "model.onnx")
