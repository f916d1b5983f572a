"""Splitting a million rows with known groups: seconds, peak memory, and the ratio to reading, hashing and writing them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from belisha.components.shared.files import write_json
from belisha.components.shared.manifest import DATASET_FILE, DATASET_SCHEMA, MANIFEST_ARROW_SCHEMA, MANIFEST_FILE
from bench.table import BenchRow

ROWS = 1_000_000
GROUPS = 20_000
CONDITIONS = ("day", "night", "rain", "fog")
MAX_SECONDS = 5.0
MAX_GIB = 1.0
REPETITIONS = 3
# ru_maxrss is in KiB on Linux.
_SPLIT = """
import json, pathlib, resource, sys, time
from belisha.components.split.options import SplitOptions
from belisha.components.split.split import split_dataset
data, out, frozen = sys.argv[1:]
begin = time.perf_counter()
summary = split_dataset(pathlib.Path(data), pathlib.Path(out), SplitOptions(), frozen)
seconds = time.perf_counter() - begin
peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "peak_gib": peak_kib / 2**20, "pictures": summary.pictures}))
"""


def run() -> list[BenchRow]:
    """Split in a process of its own, so that the peak is the split's alone."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        _write_dataset(data)
        fresh = [_split(data, Path(folder), f"frozen-{number}") for number in range(REPETITIONS)]
        again = _split(data, Path(folder), "frozen-0")
    seconds = float(np.median([found["seconds"] for found in fresh]))
    peak = max(found["peak_gib"] for found in [*fresh, again])
    what = f"{ROWS:,} rows, {GROUPS:,} groups"
    return [
        BenchRow(
            "split: seconds", seconds, MAX_SECONDS, at_least=False, detail=f"{what}, first time, frozen afterwards"
        ),
        BenchRow(
            "split: seconds again", again["seconds"], MAX_SECONDS, at_least=False, detail=f"{what}, all known already"
        ),
        BenchRow("split: peak GiB", peak, MAX_GIB, at_least=False, detail="whole process, imports included"),
    ]


def _split(data: Path, folder: Path, frozen: str) -> dict[str, float]:
    command = [sys.executable, "-c", _SPLIT, str(data), str(folder / "split"), str(folder / frozen)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _write_dataset(folder: Path) -> None:
    """A manifest of random ids with two boxes a picture, written as columns."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    ids = np.sort(np.frombuffer(rng.bytes(32 * ROWS), dtype="S32"))
    image_ids = pa.array([value.ljust(32, b"\0").hex() for value in ids.tolist()])
    names = pa.array([f"sequence-{number:06d}" for number in range(GROUPS)])
    groups = rng.integers(0, GROUPS, ROWS)
    conditions = pa.array(CONDITIONS).take(pa.array(groups % len(CONDITIONS)))
    empty = pa.array([""]).take(pa.array(np.zeros(ROWS, dtype=np.int64)))
    boxes = pa.ListArray.from_arrays(pa.array(np.arange(0, 2 * ROWS + 1, 2, dtype=np.int32)), _boxes(2 * ROWS))
    pixels = pa.array(np.full(ROWS, 640, dtype=np.int32))
    columns = {
        "image_id": image_ids, "uri": image_ids, "width_px": pixels, "height_px": pixels, "source": empty, "licence": empty,
        "captured_at": pa.nulls(ROWS, pa.timestamp("us", tz="UTC")), "camera": empty, "condition": conditions,
        "group_id": names.take(pa.array(groups)), "boxes": boxes,
    }  # fmt: skip
    table = pa.Table.from_arrays(
        [columns[field.name].cast(field.type) for field in MANIFEST_ARROW_SCHEMA], schema=MANIFEST_ARROW_SCHEMA
    )
    pq.write_table(table, folder / MANIFEST_FILE, compression="zstd")
    info = {"name": "bench", "images": ROWS, "pedestrians": 2 * ROWS, "ignored": 0, "digest": "0" * 64}
    write_json(
        folder / DATASET_FILE,
        {"schema": DATASET_SCHEMA, **info, "parents": [], "classes": ["pedestrian"], "details": {}},
    )


def _boxes(count: int) -> pa.StructArray:
    box_type = MANIFEST_ARROW_SCHEMA.field("boxes").type.value_type
    numbers = pa.array(np.full(count, 50.0))
    blank = pa.array([""]).take(pa.array(np.zeros(count, dtype=np.int64)))
    of_type = {pa.float64(): numbers, pa.bool_(): pa.array(np.zeros(count, dtype=bool)), pa.string(): blank}
    fields = [box_type.field(number) for number in range(box_type.num_fields)]
    return pa.StructArray.from_arrays([of_type[field.type] for field in fields], fields=fields)
