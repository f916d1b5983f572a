"""One small door to local folders, memory, S3, Google Cloud Storage, Azure and HTTP, through obstore.

Nothing else in the product talks to object storage. A create-only write (`create`) is atomic on every writable backend:
the ledger and every lock stand on it. Locally an object is written aside (`NAME#1`) and linked to its name, so a killed
writer leaves no half object; what it leaves aside is never listed.

Access to S3 comes from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and AWS_ENDPOINT_URL (for MinIO
and kin; an `http://` endpoint is taken at its word), or from the machine's own role; to Google Cloud from
GOOGLE_APPLICATION_CREDENTIALS; to Azure from AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from belisha.components.shared.errors import AlreadyExistsError, BelishaError, InputError, NotFoundError, StorageError

REMOTE_SCHEMES = frozenset({"s3", "gs", "az", "http", "https"})
SCHEMES = REMOTE_SCHEMES | {"file", "memory"}
# A wrong address or a dead network must end in a sentence within a minute or two, not in obstore's default of many.
_RETRY = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
_TIMEOUTS = {"connect_timeout": timedelta(seconds=10), "timeout": timedelta(minutes=10)}
_LIST_CHUNK = 1000
_PIECE_BYTES = 8 * 2**20
# Number of the process that has used obstore, whose threads do not survive a fork; 0 before the first use.
_used_by = 0


class ObjectStore(Protocol):
    """What the product asks of a store. Keys are relative, `/`-separated, without a leading slash."""

    uri: str

    def read(self, key: str) -> bytes:
        """Bytes of an object; raises NotFoundError, StorageError."""
        ...

    def download(self, key: str, stream: BinaryIO) -> None:
        """Write an object's bytes to a stream piece by piece, whatever its size; raises NotFoundError, StorageError."""
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

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Keys below a folder-like prefix, in ascending order; with `after` only those that sort behind that key."""
        ...

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders right below a folder-like prefix, in ascending order."""
        ...


class ObstoreStore:
    """An `ObjectStore` over any obstore backend."""

    def __init__(self, store: Any, uri: str) -> None:
        self._opened = store
        self.uri = uri.rstrip("/")

    @property
    def _store(self) -> Any:
        """The backend; raises StorageError in a process forked from one that had used it, where it may wait for ever."""
        global _used_by  # noqa: PLW0603 - obstore's threads belong to the process, not to a store
        _used_by = _used_by or os.getpid()
        if _used_by != os.getpid():
            raise StorageError(
                f"{self.uri} was used by process {_used_by} before it forked this one: fork first, or start a new Python"
            )
        return self._opened

    def read(self, key: str) -> bytes:
        """Bytes of an object; raises NotFoundError, StorageError."""
        try:
            return bytes(self._store.get(key).bytes())
        except Exception as error:
            raise self._translated(error, key, "read") from error

    def download(self, key: str, stream: BinaryIO) -> None:
        """Write an object's bytes to a stream piece by piece, whatever its size; raises NotFoundError, StorageError."""
        for piece in self._pieces(key):
            stream.write(piece)

    def _pieces(self, key: str) -> Iterator[memoryview]:
        try:
            for piece in self._store.get(key).stream(min_chunk_size=_PIECE_BYTES):
                yield memoryview(piece)
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

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Keys below a folder-like prefix, in ascending order; with `after` only those that sort behind that key."""
        try:
            batches = self._store.list(prefix=_folder(prefix), offset=after or None, chunk_size=_LIST_CHUNK)
            keys = [entry["path"] for batch in batches for entry in batch]
        except Exception as error:
            raise self._translated(error, prefix, "listed") from error
        yield from sorted(keys)

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders right below a folder-like prefix, in ascending order."""
        try:
            found = self._store.list_with_delimiter(prefix=_folder(prefix))["common_prefixes"]
        except Exception as error:
            raise self._translated(error, prefix, "listed") from error
        yield from sorted(path.rsplit("/", 1)[-1] for path in found)

    def _put(self, key: str, data: bytes, *, mode: str) -> None:
        try:
            self._store.put(key, data, mode=mode)
        except Exception as error:
            raise self._translated(error, key, "written") from error

    def _translated(self, error: Exception, key: str, verb: str) -> BelishaError:
        """Our error for what obstore raised: its exception classes are the only part of it we rely on."""
        if isinstance(error, BelishaError):
            return error
        name = type(error).__name__
        if name == "ValueError":
            return InputError(
                f"{key!r} cannot be the name of an object ({error}): use letters, digits and single slashes"
            )
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
    client_options = {**_TIMEOUTS, **({"allow_http": True} if _plain_http_is_wanted(scheme) else {})}
    try:
        return ObstoreStore(from_url(uri, client_options=client_options, retry_config=_RETRY), uri)
    except Exception as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"the store {uri} cannot be opened ({reason}): check the address and its settings") from error


def _plain_http_is_wanted(scheme: str) -> bool:
    """Whether the address or the endpoint that the environment names is an `http://` one, or it is allowed outright."""
    prefix = {"s3": "AWS", "az": "AZURE"}.get(scheme, "")
    endpoints = [os.environ.get(f"{prefix}_{name}", "") for name in ("ENDPOINT_URL", "ENDPOINT_URL_S3", "ENDPOINT")]
    allowed = os.environ.get(f"{prefix}_ALLOW_HTTP", "").lower() in ("1", "true", "yes")
    return scheme == "http" or allowed or any(endpoint.startswith("http://") for endpoint in endpoints)


def _folder(prefix: str) -> str | None:
    return prefix.rstrip("/") or None


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
