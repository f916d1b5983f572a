"""What a detector says about pictures, and the Parquet file that carries it between steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from belisha.components.shared.errors import ContractError


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes found on one picture, best first.

    Attributes:
        boxes_xywh_px: `(n, 4)` float32 [x, y, width, height] in pixels of the original picture.
        scores: `(n,)` float32; for a learned detector 0..1, for others any value that ranks.
    """

    boxes_xywh_px: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, threshold: float) -> Detections:
        """Those with score >= threshold."""
        keep = self.scores >= threshold
        return Detections(self.boxes_xywh_px[keep], self.scores[keep])


def no_detections() -> Detections:
    """An empty answer."""
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("boxes_xywh_px", pa.list_(pa.float32())),
        ("scores", pa.list_(pa.float32())),
    ],
    metadata={"schema": "belisha.detections/1"},
)


def write_detections(path: Path, by_image: Mapping[str, Detections]) -> None:
    """Write one row a picture, ordered by image_id; a picture without detections keeps its empty row."""
    image_ids = sorted(by_image)
    columns: Sequence[pa.Array] = [
        pa.array(image_ids, pa.string()),
        pa.array([by_image[image_id].boxes_xywh_px.ravel().tolist() for image_id in image_ids], pa.list_(pa.float32())),
        pa.array([by_image[image_id].scores.tolist() for image_id in image_ids], pa.list_(pa.float32())),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.aside")
    pq.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA), aside, compression="zstd")
    aside.replace(path)


def read_detections(path: Path) -> dict[str, Detections]:
    """Read what `write_detections` wrote; raises ContractError."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ContractError(
            f"{path} is not a readable detections file ({str(error).splitlines()[0]}): run the step before again"
        ) from None
    if (table.schema.metadata or {}).get(b"schema") != _SCHEMA.metadata[b"schema"]:
        raise ContractError(f"{path} is not a detections file of this version: run the step before again")
    return dict(_rows(path, table))


def _rows(path: Path, table: pa.Table) -> Iterator[tuple[str, Detections]]:
    for row in table.to_pylist():
        sides, scores = row["boxes_xywh_px"], row["scores"]
        if sides is None or scores is None or len(sides) != 4 * len(scores):
            raise ContractError(
                f"{path}: expected four box sides a score for picture {row['image_id']}: run the step before again"
            )
        yield row["image_id"], Detections(np.array(sides, np.float32).reshape(-1, 4), np.array(scores, np.float32))
