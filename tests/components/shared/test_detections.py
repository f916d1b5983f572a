"""Detections and the file that carries them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.shared.detections import (
    _SCHEMA,
    Detections,
    no_detections,
    read_detections,
    write_detections,
)
from belisha.components.shared.errors import ContractError

_ROWS = st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=5, max_size=5), max_size=6)


def detections_of(rows: list[list[float]]) -> Detections:
    array = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(array[:, :4], array[:, 4])


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=8), _ROWS, max_size=5))
def test_what_is_written_is_read(rows_of: dict[str, list[list[float]]]) -> None:
    by_image = {image_id: detections_of(rows) for image_id, rows in rows_of.items()}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "new" / "detections.parquet"
        write_detections(path, by_image)
        again = read_detections(path)
        assert [child.name for child in path.parent.iterdir()] == [path.name]
    assert list(again) == sorted(by_image)
    for image_id, detections in by_image.items():
        assert np.array_equal(again[image_id].boxes_xywh_px, detections.boxes_xywh_px)
        assert np.array_equal(again[image_id].scores, detections.scores)


def test_the_same_detections_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = detections_of([[1, 2, 3, 4, 0.5]]), no_detections()
    write_detections(tmp_path / "a", {"x": one, "y": two})
    write_detections(tmp_path / "b", {"y": two, "x": one})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_above_keeps_the_threshold_itself() -> None:
    kept = detections_of([[1, 1, 1, 1, 0.9], [2, 2, 2, 2, 0.5], [3, 3, 3, 3, 0.4]]).above(0.5)
    assert kept.boxes_xywh_px[:, 0].tolist() == [1, 2]
    assert len(no_detections().above(0.0)) == 0


@pytest.mark.parametrize(
    ("boxes", "scores"),
    [
        pytest.param([1.0, 2.0, 3.0], [0.5], id="three sides"),
        pytest.param([1.0, 2.0, 3.0, 4.0], [], id="no score"),
        pytest.param([], [0.5], id="no box"),
        pytest.param(None, [0.5], id="nothing"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, boxes: list[float] | None, scores: list[float]) -> None:
    path = tmp_path / "detections.parquet"
    table = pa.Table.from_pylist([{"image_id": "a", "boxes_xywh_px": boxes, "scores": scores}], schema=_SCHEMA)
    pq.write_table(table, path)
    with pytest.raises(ContractError, match="run the step before again"):
        read_detections(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{}" * 100], ids=["empty", "only a mark", "JSON"])
def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "detections.parquet"
    path.write_bytes(content)
    with pytest.raises(ContractError, match="is not a readable detections file"):
        read_detections(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "detections.parquet"
    write_detections(path, {"a": detections_of([[1, 2, 3, 4, 0.5]])})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ContractError, match="is not a readable detections file"):
        read_detections(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="is not a readable detections file"):
        read_detections(tmp_path / "none.parquet")


def test_another_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"image_id": ["a"]}), path)
    with pytest.raises(ContractError, match="not a detections file of this version"):
        read_detections(path)
