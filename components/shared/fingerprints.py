"""Perceptual hashes of a dataset's pictures, kept beside its manifest: nobody has to decode the pictures for them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from belisha.components.shared.errors import ContractError

FINGERPRINTS_FILE = "fingerprints.parquet"
# Another kind of hash is another number: hashes of two kinds cannot be compared.
_SCHEMA = pa.schema([("image_id", pa.string()), ("hash64", pa.uint64())], metadata={"schema": "belisha.fingerprints/1"})


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Hashes of some pictures, in the order asked for.

    Attributes:
        hashes: `(n,)` uint64 as `perceptual_hash` makes them; meaningless where `known` is false.
        known: `(n,)` whether the dataset has the picture's hash.
    """

    hashes: npt.NDArray[np.uint64]
    known: npt.NDArray[np.bool_]


def write_fingerprints(folder: Path, image_ids: Sequence[str], hashes: Sequence[int]) -> None:
    """Write the file into a dataset folder that is not in place yet."""
    table = pa.table([pa.array(image_ids, pa.string()), pa.array(hashes, pa.uint64())], schema=_SCHEMA)
    pq.write_table(table, folder / FINGERPRINTS_FILE, compression="zstd")


def read_fingerprints(dataset_dir: Path, image_ids: pa.Array) -> Fingerprints:
    """Hashes of these pictures as far as the dataset has them; of a dataset without the file none is known.

    Raises:
        ContractError: the file is damaged or of a version that is not known.
    """
    path = dataset_dir / FINGERPRINTS_FILE
    if not path.exists():
        return Fingerprints(np.zeros(len(image_ids), dtype=np.uint64), np.zeros(len(image_ids), dtype=bool))
    table = _read(path)
    places = pc.index_in(image_ids, value_set=table.column("image_id").combine_chunks())
    found = table.column("hash64").combine_chunks().take(places)
    return Fingerprints(
        np.asarray(found.fill_null(0).to_numpy(zero_copy_only=False), dtype=np.uint64),
        np.asarray(found.is_valid().to_numpy(zero_copy_only=False), dtype=bool),
    )


def _read(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise ContractError(f"{path} is not readable ({reason}): acquire the data again, or remove this file") from None
    if not table.schema.equals(_SCHEMA, check_metadata=True):
        raise ContractError(f"{path} is of a version this code does not know: acquire the data again")
    return table
