"""The manifest's columns that splitting looks at, as arrays: no Python object per row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from belisha.components.shared.errors import ContractError, NoDataError
from belisha.components.shared.manifest import MANIFEST_FILE, read_table

IntArray = npt.NDArray[np.integer]
NO_TIME = np.iinfo(np.int64).min
_COLUMNS = ("image_id", "group_id", "camera", "condition", "captured_at")
_ID_DIGITS = 64
# Half a SHA-256 tells pictures apart as well as a whole one does, in half the memory.
KEY_BYTES = 16
_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Coded:
    """A text column as codes into its distinct values.

    Attributes:
        codes: `(n,)` int32.
        names: distinct values, ascending.
    """

    codes: IntArray
    names: list[str]

    def is_empty(self) -> npt.NDArray[np.bool_]:
        """Rows whose value is the empty text."""
        blank = np.array([name == "" for name in self.names], dtype=bool)
        return np.asarray(blank[self.codes])


@dataclass(frozen=True, slots=True)
class Rows:
    """The pictures of a dataset, ascending by image_id.

    Attributes:
        image_ids: Arrow strings.
        given: group_id as the labels gave it, empty where they did not.
        cameras: camera or sequence.
        conditions: day, night, …
        captured_us: `(n,)` int64 microseconds since 1970, NO_TIME where unknown.
        pedestrians: `(n,)` int32 boxes that count.
    """

    image_ids: pa.Array
    given: Coded
    cameras: Coded
    conditions: Coded
    captured_us: npt.NDArray[np.int64]
    pedestrians: IntArray

    def __len__(self) -> int:
        return len(self.image_ids)


def read_rows(dataset_dir: Path) -> Rows:
    """Read the columns of a dataset folder.

    Raises:
        ContractError: it is no dataset, or ids are no digests, repeat or are out of order.
        NoDataError: it has no pictures.
    """
    table = read_table(dataset_dir, _COLUMNS)
    if table.num_rows == 0:
        raise NoDataError(f"{dataset_dir} has no pictures, so there is nothing to split: acquire some first")
    image_ids = _one_array(table.column("image_id"))
    _refuse_bad_order(image_ids, dataset_dir)
    return Rows(
        image_ids=image_ids,
        given=coded(table.column("group_id")),
        cameras=coded(table.column("camera")),
        conditions=coded(table.column("condition")),
        captured_us=_microseconds(table.column("captured_at")),
        pedestrians=_count_pedestrians(dataset_dir, table.num_rows),
    )


def keys_of(image_ids: pa.Array) -> pa.Array:
    """The first 16 bytes of each digest as fixed-size binary; raises ContractError when an id is no SHA-256."""
    if not pc.all(pc.equal(pc.binary_length(image_ids), _ID_DIGITS)).as_py():
        raise ContractError("the manifest has an image_id that is not 64 hexadecimal digits: acquire the data again")
    offset, data = image_ids.offset * _ID_DIGITS, image_ids.buffers()[2]
    text = data.slice(offset, len(image_ids) * _ID_DIGITS).to_pybytes().decode("ascii", "replace")
    try:
        digests = np.frombuffer(bytes.fromhex(text), dtype=np.uint8).reshape(len(image_ids), -1)
    except ValueError:
        raise ContractError("the manifest has an image_id that is not hexadecimal: acquire the data again") from None
    halves = np.ascontiguousarray(digests[:, :KEY_BYTES])
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(KEY_BYTES), len(image_ids), [None, pa.py_buffer(halves)])


def coded(values: pa.ChunkedArray) -> Coded:
    """Codes of a text column; null counts as the empty text."""
    encoded = _one_array(pc.fill_null(values.cast(pa.string()), "").dictionary_encode())
    order = pc.array_sort_indices(encoded.dictionary)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
    return Coded(rank[encoded.indices.to_numpy(zero_copy_only=False)], encoded.dictionary.take(order).to_pylist())


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    combined = column.unify_dictionaries().combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def _refuse_bad_order(image_ids: pa.Array, dataset_dir: Path) -> None:
    if len(image_ids) > 1 and not pc.all(pc.less(image_ids[:-1], image_ids[1:])).as_py():
        raise ContractError(
            f"{dataset_dir / MANIFEST_FILE} repeats an image_id or is not ordered by it: write it with `belisha acquire`"
        )


def _microseconds(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    filled = pc.fill_null(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), NO_TIME)
    return np.asarray(filled.to_numpy(), dtype=np.int64)


def _count_pedestrians(dataset_dir: Path, rows: int) -> IntArray:
    """Boxes without the ignore flag per row, read in batches, for boxes are most of a manifest."""
    counts = np.zeros(rows, dtype=np.int32)
    begin = 0
    with pq.ParquetFile(dataset_dir / MANIFEST_FILE) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=["boxes.list.element.ignore"]):
            boxes = batch.column(0)
            countable = pc.invert(pc.fill_null(pc.struct_field(boxes.flatten(), "ignore"), False))  # noqa: FBT003
            running = np.concatenate([[0], np.cumsum(countable.to_numpy(zero_copy_only=False))])
            ends = np.cumsum(pc.fill_null(pc.list_value_length(boxes), 0).to_numpy(zero_copy_only=False))
            counts[begin : begin + len(batch)] = np.diff(running[np.concatenate([[0], ends])])
            begin += len(batch)
    return counts
