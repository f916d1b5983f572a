"""The reference that drift is measured against: one Parquet file of feature rows, frozen with a champion.

It lies at `reference/reference.parquet` of a model folder, made by training from the validation part, or below
`<storage>/drift/references/<version>/`, frozen from the request log while that version served well; the newest one of a version
counts. Its rows are thinned already and stand in the order of their times. Its digest is that of the file's bytes.
"""

from __future__ import annotations

import enum
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from belisha.components.shared.drift_features import EMBEDDING, FEATURE_NAMES, FeatureRows
from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.storage import ObjectStore

REFERENCE_SCHEMA = "belisha.drift_reference/1"
REFERENCE_FOLDER, REFERENCE_FILE = "reference", "reference.parquet"
REFERENCES_PREFIX = "drift/references"
# Where nothing was measured: one picture in half a minute of a camera.
DEFAULT_GAP_SECONDS = 30.0

_ARROW_SCHEMA = pa.schema(
    [
        ("time_us", pa.int64()),
        ("camera", pa.string()),
        ("picture_uri", pa.string()),
        *((name, pa.float32()) for name in FEATURE_NAMES),
        (EMBEDDING, pa.list_(pa.float32())),
    ]
)


class Source(enum.StrEnum):
    """Where a reference comes from: the validation part of a training, or production's request log."""

    TRAINING = "training"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Reference:
    """Feature rows to compare with.

    Attributes:
        source: where they come from. Those of a training tell nothing about hours of the day.
        gap_seconds: least time between two rows of a camera; production is thinned by it, too.
        rows: in the order of their times.
        digest: SHA-256 of the file, empty before it is written.
    """

    source: Source
    gap_seconds: float
    rows: FeatureRows
    digest: str = ""


def encode_reference(reference: Reference) -> bytes:
    """The bytes of its file; the same reference gives the same bytes."""
    rows = reference.rows
    columns = [
        pa.array(rows.time_us),
        pa.array(rows.camera.tolist(), pa.string()),
        pa.array(rows.picture_uri.tolist(), pa.string()),
        *(pa.array(column.astype(np.float32)) for column in rows.values.T),
        pa.array(list(rows.embeddings.astype(np.float32)), pa.list_(pa.float32())),
    ]
    facts = {"schema": REFERENCE_SCHEMA, "source": reference.source.value, "gap_seconds": reference.gap_seconds}
    schema = _ARROW_SCHEMA.with_metadata({"belisha": json.dumps(facts, sort_keys=True)})
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()


def decode_reference(data: bytes, where: str) -> Reference:
    """Read a reference's bytes; raises ContractError with `where` they lie."""
    try:
        table = pq.read_table(pa.BufferReader(data))
        facts: dict[str, Any] = json.loads((table.schema.metadata or {})[b"belisha"])
        if facts["schema"] != REFERENCE_SCHEMA:
            raise ContractError(f"{where} is no drift reference of this version: freeze it again")
        rows = _rows_of(table)
        return Reference(Source(facts["source"]), float(facts["gap_seconds"]), rows, sha256_hex(data))
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ContractError(f"{where} is no readable drift reference ({reason}): freeze it again") from None


def freeze(store: ObjectStore, version: str, reference: Reference, at: datetime) -> tuple[str, str]:
    """Put a reference into storage as the one that counts for a model version; gives its key and its digest."""
    data = encode_reference(reference)
    digest = sha256_hex(data)
    key = f"{REFERENCES_PREFIX}/{version}/{at.astimezone(UTC):%Y%m%dT%H%M%S%f}-{digest[:16]}.parquet"
    store.write(key, data)
    return key, digest


def newest_frozen(store: ObjectStore, version: str) -> Reference | None:
    """The reference that was last frozen for a version; None when there is none. Raises ContractError, StorageError."""
    keys = [key for key in store.list(f"{REFERENCES_PREFIX}/{version}") if key.endswith(".parquet")]
    return decode_reference(store.read(keys[-1]), f"{store.uri}/{keys[-1]}") if keys else None


def _rows_of(table: pa.Table) -> FeatureRows:
    values = np.stack([table[name].to_numpy().astype(np.float64) for name in FEATURE_NAMES], axis=1)
    if not np.isfinite(values).all():
        raise ValueError("a number in it is none")
    camera, picture_uri = (np.array(table[name].to_pylist(), np.object_) for name in ("camera", "picture_uri"))
    flat = table[EMBEDDING].combine_chunks()
    lengths = set(np.diff(flat.offsets.to_numpy()).tolist()) if table.num_rows else {0}
    if len(lengths) > 1:
        raise ValueError("its embeddings have several lengths")
    embeddings = np.asarray(flat.flatten().to_numpy(), np.float64).reshape(table.num_rows, lengths.pop())
    return FeatureRows(table["time_us"].to_numpy(), camera, values, embeddings, picture_uri)
