"""Which reference a check compares with."""

from __future__ import annotations

from pathlib import Path

from belisha.components.shared.drift_reference import (
    REFERENCE_FILE,
    REFERENCE_FOLDER,
    Reference,
    decode_reference,
    newest_frozen,
)
from belisha.components.shared.errors import InputError
from belisha.components.shared.registry import MODEL_PART, Registry
from belisha.components.shared.storage import ObjectStore

_IN_MODEL = f"{MODEL_PART}/{REFERENCE_FOLDER}/{REFERENCE_FILE}"


def read_reference(path: Path) -> Reference:
    """The reference in a file, a reference folder, or a model folder; raises InputError, ContractError."""
    for candidate in (path, path / REFERENCE_FILE, path / REFERENCE_FOLDER / REFERENCE_FILE):
        if candidate.is_file():
            return decode_reference(candidate.read_bytes(), str(candidate))
    raise InputError(f"{path} holds no {REFERENCE_FILE}: give a model folder or its folder `{REFERENCE_FOLDER}`")


def reference_of(version: str, store: ObjectStore, registry: Registry) -> Reference:
    """The one that was last frozen for a model version, else the one that its training made.

    Args:
        version: of the model.
        store: where references are frozen.
        registry: where the model is.

    Raises:
        InputError: it has neither.
        ContractError, DigestError, StorageError: it cannot be read.
    """
    frozen = newest_frozen(store, version)
    if frozen is not None:
        return frozen
    registered = registry.version(version)
    if _IN_MODEL not in registered.files:
        raise InputError(
            f"{version} has no drift reference: let it serve, then freeze one with `belisha drift reference --from-log`"
        )
    return decode_reference(registry.read_file(registered, _IN_MODEL), f"{_IN_MODEL} of {version}")
