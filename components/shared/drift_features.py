"""What drift is measured by: one row of numbers a prediction, made from the request log by the same code everywhere.

Training makes such rows of its validation part, `belisha drift reference` of production's log, the check of the last windows.
Ten numbers say what the picture looks like, five what the model says about it; an embedding may stand beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belisha.components.shared.picture_statistics import STATISTIC_NAMES

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Scores in this band are undecided; serving returns none below its own threshold.
UNCERTAIN_LOW, UNCERTAIN_HIGH = 0.1, 0.6
PREDICTION_NAMES = ("max_score", "mean_score", "boxes", "box_height_ratio", "uncertain_ratio")
FEATURE_NAMES = (*STATISTIC_NAMES, *PREDICTION_NAMES)
EMBEDDING = "embedding"
# Columns of the request log that the features are made of, without the embedding.
LOG_COLUMNS = (
    "time", "model_version", "camera", "picture_uri", "height_px", *STATISTIC_NAMES, "scores",
    "boxes_xywh_px",
)  # fmt: skip
WORDS = {
    "brightness": "brightness", "contrast": "contrast", "sharpness_log": "sharpness", "colourfulness": "colourfulness",
    "entropy_bits": "grey-level entropy", "noise": "noise", "dark_ratio": "share of dark pixels",
    "saturated_ratio": "share of saturated pixels", "megapixels": "resolution", "aspect_ratio": "aspect ratio",
    "max_score": "highest confidence", "mean_score": "mean confidence", "boxes": "boxes a picture",
    "box_height_ratio": "height of the boxes", "uncertain_ratio": "share of undecided boxes", EMBEDDING: "embedding",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Predictions as numbers, in the order of their times.

    Attributes:
        time_us: `(n,)` microseconds since 1970, UTC.
        camera: `(n,)` names as text, empty where unknown.
        values: `(n, 15)` in the order of `FEATURE_NAMES`, finite. A picture without boxes has 0 in each prediction statistic.
        embeddings: `(n, e)`; e is 0 where the model gives none.
        picture_uri: `(n,)` where each picture was kept, under its SHA-256; the digest alone for one of the training data, empty
            where it was not kept.
    """

    time_us: IntArray
    camera: npt.NDArray[np.object_]
    values: FloatArray
    embeddings: FloatArray
    picture_uri: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, which: npt.NDArray[Any] | slice) -> FeatureRows:
        """Some of the rows, by index, mask or slice."""
        return FeatureRows(*(getattr(self, name)[which] for name in _ARRAYS))


_ARRAYS = ("time_us", "camera", "values", "embeddings", "picture_uri")


def features_of(log: pa.Table) -> FeatureRows:
    """Rows of a log with `LOG_COLUMNS`, and `embedding` if it is there; a row with a number that is none is left out."""
    columns = [log[name].to_numpy() for name in STATISTIC_NAMES] + _prediction_columns(log)
    values = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
    rows = FeatureRows(
        time_us=np.asarray(log["time"].cast(pa.int64()).to_numpy(), np.int64),
        camera=_texts(log["camera"]),
        values=values,
        embeddings=_embeddings(log),
        picture_uri=_texts(log["picture_uri"]),
    )
    return rows.take(np.flatnonzero(np.isfinite(values).all(axis=1)))


def no_rows() -> FeatureRows:
    """None at all."""
    return FeatureRows(
        np.zeros(0, np.int64), _objects([]), np.zeros((0, len(FEATURE_NAMES))), np.zeros((0, 0)), _objects([])
    )  # fmt: skip


def joined(parts: Sequence[FeatureRows]) -> FeatureRows:
    """Several lots of rows in the order of their times; embeddings only where all of them have the same length."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return no_rows()
    lengths = {part.embeddings.shape[1] for part in filled}
    columns = {
        name: np.concatenate([getattr(part, name) for part in filled]) for name in _ARRAYS if name != "embeddings"
    }
    total = len(columns["time_us"])
    same = len(lengths) == 1
    embeddings = np.concatenate([part.embeddings for part in filled]) if same else np.zeros((total, 0))
    return FeatureRows(embeddings=embeddings, **columns).take(np.argsort(columns["time_us"], kind="stable"))


def thin_log(log: pa.Table, gap_seconds: float) -> pa.Table:
    """The first row of each camera in each stretch of `gap_seconds`, counted from 1970, so that any part of a log thins alike.

    Neighbouring pictures of a video are nearly the same picture: a test that takes them for independent ones always fires.
    """
    if gap_seconds <= 0 or not log.num_rows:
        return log
    time_us = log["time"].cast(pa.int64()).to_numpy()
    camera = log["camera"].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    return log.take(pa.array(first_of_each_stretch(time_us, camera, gap_seconds)))


def thin_rows(rows: FeatureRows, gap_seconds: float) -> FeatureRows:
    """The same for rows."""
    if gap_seconds <= 0 or not len(rows):
        return rows
    camera = np.unique(rows.camera.astype(str), return_inverse=True)[1]
    return rows.take(first_of_each_stretch(rows.time_us, camera, gap_seconds))


def first_of_each_stretch(time_us: npt.NDArray[Any], camera: npt.NDArray[Any], gap_seconds: float) -> IntArray:
    """Ascending indices of the earliest row of each camera in each stretch of time."""
    stretch = time_us // max(1, round(gap_seconds * 1e6))
    stretch -= stretch.min()
    # One number a camera and stretch; the first row of each is its earliest, once the rows stand in the order of time.
    place = camera.astype(np.int64) * (int(stretch.max()) + 1) + stretch
    if (np.diff(time_us) >= 0).all():
        return np.sort(np.unique(place, return_index=True)[1])
    order = np.argsort(time_us, kind="stable")
    return np.sort(order[np.unique(place[order], return_index=True)[1]])


def _prediction_columns(log: pa.Table) -> list[npt.NDArray[Any]]:
    """`max_score`, `mean_score`, `boxes`, `box_height_ratio`, `uncertain_ratio`."""
    scores, begins, counts = _lists(log["scores"])
    undecided = (scores >= UNCERTAIN_LOW) & (scores <= UNCERTAIN_HIGH)
    sides, side_begins, side_counts = _lists(log["boxes_xywh_px"])
    heights = _medians(sides[3::4], side_begins // 4, side_counts // 4)
    height_px = np.maximum(log["height_px"].to_numpy(), 1)
    return [
        _reduced(np.maximum, scores, begins, counts),
        _means(scores, begins, counts),
        counts,
        heights / height_px,
        _means(undecided, begins, counts),
    ]


def _lists(column: pa.ChunkedArray) -> tuple[FloatArray, IntArray, IntArray]:
    """A list column as flat values, and each row's begin and count in them."""
    lists = column.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], lists.type)
    counts = np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), np.int64)
    values = np.asarray(pc.list_flatten(lists).to_numpy(zero_copy_only=False), np.float64)
    return values, np.cumsum(counts) - counts, counts


def _reduced(operation: np.ufunc, values: npt.NDArray[Any], begins: IntArray, counts: IntArray) -> FloatArray:
    """One number a row; 0 for a row without values."""
    found = np.zeros(len(counts))
    filled = counts > 0
    if filled.any():
        found[filled] = operation.reduceat(values, begins[filled])
    return found


def _means(values: npt.NDArray[Any], begins: IntArray, counts: IntArray) -> FloatArray:
    return _reduced(np.add, values.astype(np.float64), begins, counts) / np.maximum(counts, 1)


def _medians(values: FloatArray, begins: IntArray, counts: IntArray) -> FloatArray:
    """The lower median of each row's values; 0 for none."""
    row = np.repeat(np.arange(len(counts)), counts)
    ordered = values[np.lexsort((values, row))]
    found = np.zeros(len(counts))
    filled = counts > 0
    found[filled] = ordered[begins[filled] + (counts[filled] - 1) // 2]
    return found


def _embeddings(log: pa.Table) -> FloatArray:
    if EMBEDDING not in log.column_names or not log.num_rows:
        return np.zeros((log.num_rows, 0))
    values, _, counts = _lists(log[EMBEDDING])
    same = bool((counts == counts[0]).all() and np.isfinite(values).all())
    return values.reshape(log.num_rows, -1) if same else np.zeros((log.num_rows, 0))


def _texts(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    return _objects(pc.fill_null(column, "").to_pylist())


def _objects(values: Sequence[str]) -> npt.NDArray[np.object_]:
    found = np.empty(len(values), np.object_)
    found[:] = values
    return found
