"""The evaluation contract: a folder with one model's numbers, its per-picture rows, its detections and a report.

metrics.json             schema below; every number finite or null
per_image.parquet        one row a picture of val and test, at the serving threshold
detections_val.parquet   all boxes above the evaluation floor, see `shared/detections.py`
detections_test.parquet
report.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import read_json

EVALUATION_SCHEMA = "belisha.evaluation/1"
METRICS_FILE = "metrics.json"
PER_IMAGE_FILE = "per_image.parquet"
DETECTIONS_VAL_FILE = "detections_val.parquet"
DETECTIONS_TEST_FILE = "detections_test.parquet"
REPORT_FILE = "report.html"

PER_IMAGE_ARROW_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("part", pa.string()),
        ("group_id", pa.string()),
        ("condition", pa.string()),
        ("pedestrians", pa.int32()),
        ("ignored", pa.int32()),
        ("true_positives", pa.int32()),
        ("false_positives", pa.int32()),
        ("false_negatives", pa.int32()),
        ("best_score", pa.float32()),
        ("worst_false_alarm_score", pa.float32()),
    ],
    metadata={"schema": "belisha.per_image/1"},
)


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read `metrics.json` of an evaluation folder; raises ContractError."""
    return read_json(folder / METRICS_FILE, schema=EVALUATION_SCHEMA)


def read_per_image(folder: Path) -> pa.Table:
    """Read the per-picture rows of an evaluation folder; raises ContractError."""
    path = folder / PER_IMAGE_FILE
    try:
        return pq.read_table(path, schema=PER_IMAGE_ARROW_SCHEMA)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise ContractError(
            f"{path} is not a readable per-picture table ({reason}): validate the model again"
        ) from None
