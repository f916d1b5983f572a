"""One small door to local folders, memory, S3, Google Cloud Storage, Azure and HTTP, through obstore.

Nothing else in the product talks to object storage. A create-only write (`create`) is atomic on every writable backend:
the ledger and every lock stand on it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from belisha.components.shared.errors import AlreadyExistsError, InputError, NotFoundError, StorageError

REMOTE_SCHEMES = frozenset({"s3", "gs", "az", "http", "https"})
SCHEMES = REMOTE_SCHEMES | {"file", "memory"}


class ObjectStore(Protocol):
    """What the product asks of a store. Keys are relative, `/`-separated, without a leading slash."""

    uri: str

    def read(self, key: str) -> bytes:
        """Bytes of an object; raises NotFoundError, StorageError."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Create or replace an object; raises StorageError."""
        ...

    def create(self, key: str, data: bytes) -> None:
        """Create an object that must not exist; raises AlreadyExistsError, StorageError."""
        ...

    def exists(self, key: str) -> bool:
        """Whether an object has that key."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Keys below a folder-like prefix, in ascending order."""
        ...


class ObstoreStore:
    """An `ObjectStore` over any obstore backend."""

    def __init__(self, store: Any, uri: str) -> None:
        self._store = store
        self.uri = uri.rstrip("/")

    def read(self, key: str) -> bytes:
        """Bytes of an object; raises NotFoundError, StorageError."""
        try:
            return bytes(self._store.get(key).bytes())
        except Exception as error:
            raise self._translated(error, key, "read") from error

    def write(self, key: str, data: bytes) -> None:
        """Create or replace an object; raises StorageError."""
        self._put(key, data, mode="overwrite")

    def create(self, key: str, data: bytes) -> None:
        """Create an object that must not exist; raises AlreadyExistsError, StorageError."""
        self._put(key, data, mode="create")

    def exists(self, key: str) -> bool:
        """Whether an object has that key."""
        try:
            self._store.head(key)
        except Exception as error:
            translated = self._translated(error, key, "looked up")
            if isinstance(translated, NotFoundError):
                return False
            raise translated from error
        return True

    def list(self, prefix: str) -> Iterator[str]:
        """Keys below a folder-like prefix, in ascending order."""
        try:
            keys = [entry["path"] for batch in self._store.list(prefix=prefix.rstrip("/") or None) for entry in batch]
        except Exception as error:
            raise self._translated(error, prefix, "listed") from error
        yield from sorted(keys)

    def _put(self, key: str, data: bytes, *, mode: str) -> None:
        try:
            self._store.put(key, data, mode=mode)
        except Exception as error:
            raise self._translated(error, key, "written") from error

    def _translated(self, error: Exception, key: str, verb: str) -> StorageError:
        """Our error for what obstore raised: its exception classes are the only part of it we rely on."""
        name = type(error).__name__
        if name in ("NotFoundError", "FileNotFoundError"):
            return NotFoundError(f"{self.uri}/{key} does not exist: check the address")
        if name in ("AlreadyExistsError", "PreconditionError", "FileExistsError"):
            return AlreadyExistsError(f"{self.uri}/{key} exists already: read it and decide again")
        reason = str(error).splitlines()[0][:200] if str(error) else name
        return StorageError(
            f"{self.uri}/{key} could not be {verb} ({reason}): check the address, the credentials and the network"
        )


def open_store(uri: str) -> ObjectStore:
    """Open the store at a URI or local path; a local folder is created when missing.

    Args:
        uri: `file:///dir`, a plain path, `memory://name`, `s3://bucket/prefix`, `gs://…`, `az://…`, `http(s)://…`.

    Raises:
        InputError: the scheme is unknown.
    """
    scheme = scheme_of(uri)
    if scheme == "memory":
        return _memory_store(uri)
    from obstore.store import LocalStore, from_url

    if scheme == "file":
        folder = local_path(uri)
        return ObstoreStore(LocalStore(prefix=folder, mkdir=True), f"file://{folder}")
    options = {"client_options": {"allow_http": True}} if scheme == "http" else {}
    return ObstoreStore(from_url(uri, **options), uri)


@functools.cache
def _memory_store(uri: str) -> ObjectStore:
    """One store a name for the life of the process, so that two openings see the same objects."""
    from obstore.store import MemoryStore

    return ObstoreStore(MemoryStore(), uri)


def scheme_of(uri: str) -> str:
    """The URI's scheme; a plain path is `file`. Raises InputError on one we do not know."""
    scheme = urlsplit(uri).scheme.lower() if "://" in uri else "file"
    if scheme not in SCHEMES:
        raise InputError(
            f"{uri} has scheme {scheme!r}, which is not one of {', '.join(sorted(SCHEMES))}: give a path or one of these"
        )
    return scheme


def local_path(uri: str) -> Path:
    """The absolute path of a plain path or `file://` URI."""
    return Path(uri.removeprefix("file://")).expanduser().absolute()


def join_uri(uri: str, *parts: str) -> str:
    """Append key parts to a store URI; a plain path becomes a `file://` URI."""
    base = f"file://{local_path(uri)}" if scheme_of(uri) == "file" else uri.rstrip("/")
    return "/".join([base, *parts])
