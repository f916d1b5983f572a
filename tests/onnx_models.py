"""Tiny ONNX models with known answers, so that expected numbers can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from belisha.components.shared.model_artifact import ONNX_FILE, ModelInfo, Thresholds, write_model_info
from belisha.components.shared.preprocessing import PreprocessingSpec


def write_tiny_model(
    folder: Path,
    *,
    height_px: int = 96,
    width_px: int = 96,
    cell_height_px: int = 32,
    cell_width_px: int = 16,
    thresholds: Thresholds | None = None,
    dataset_digest: str = "d" * 64,
    split_digest: str = "5" * 64,
    gain: float = 1.0,
    name: str = "tiny",
    embedding: bool = False,
) -> ModelInfo:
    """A model folder whose detector answers with one box a cell of a fixed grid, scored by the cell's mean brightness.

    On a picture of the model's own size, black but for rectangles that fill cells, it finds exactly those rectangles with
    score brightness/255 * gain. Other settings, another digest: `gain` and `name` make distinct models. With `embedding` its
    second output gives each cell's mean brightness, 0..1, row by row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns = height_px // cell_height_px, width_px // cell_width_px
    model = _graph(height_px, width_px, (rows, columns), (cell_height_px, cell_width_px), gain)
    if embedding:
        shape = [1, 1, rows * columns]
        model.graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, shape))
        model.graph.node.append(helper.make_node("Identity", ["flat"], ["embedding"]))
    onnx.save(model, folder / ONNX_FILE)
    info = ModelInfo(
        preprocessing=PreprocessingSpec(height_px=height_px, width_px=width_px),
        thresholds=thresholds or Thresholds(),
        dataset_digest=dataset_digest,
        split_digest=split_digest,
        weights_origin="scratch",
        training={"name": name},
    )
    return write_model_info(folder, info)


def _graph(
    height_px: int, width_px: int, grid: tuple[int, int], cell_px: tuple[int, int], gain: float
) -> onnx.ModelProto:
    anchors = grid[0] * grid[1]
    constants = {
        "boxes": _cell_boxes(grid, cell_px),
        "gain": np.array([gain], np.float32),
        "shape": np.array([1, 1, anchors], np.int64),
        "channels": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["images", "channels"], ["grey"], keepdims=1),
        helper.make_node("AveragePool", ["grey"], ["cells"], kernel_shape=list(cell_px), strides=list(cell_px)),
        helper.make_node("Reshape", ["cells", "shape"], ["flat"]),
        helper.make_node("Mul", ["flat", "gain"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "bright_cells",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, height_px, width_px])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 5, anchors])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _cell_boxes(grid: tuple[int, int], cell_px: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """`(1, 4, anchors)`: centre x, centre y, width, height of every cell, row by row."""
    row, column = (index.ravel() for index in np.indices(grid))
    ones = np.ones(len(row))
    centres = [(column + 0.5) * cell_px[1], (row + 0.5) * cell_px[0]]
    return np.stack([*centres, ones * cell_px[1], ones * cell_px[0]])[None].astype(np.float32)
