"""The content-addressed picture store, and a local cache for what needs files on a disk.

A picture's key is the SHA-256 of its bytes, so writing it twice is harmless and reading it verifies it.
"""

from __future__ import annotations

from pathlib import Path

from belisha.components.shared.errors import DigestError, StorageError
from belisha.components.shared.files import sha256_hex, sha256_of_file, write_bytes_atomic
from belisha.components.shared.storage import ObjectStore, local_path, open_store, scheme_of


def key_of(image_id: str) -> str:
    """Key of a picture below the store's root: two digits of fan-out, then the whole digest."""
    return f"{image_id[:2]}/{image_id}"


class PictureStore:
    """Pictures by their digest over any `ObjectStore`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        # A plain write and rename costs a tenth of the object store's own way, which ingestion feels at every picture.
        self._folder = local_path(store.uri) if store.uri.startswith("file://") else None

    def uri_of(self, image_id: str) -> str:
        """The address that a manifest row records."""
        return f"{self._store.uri}/{key_of(image_id)}"

    def add(self, data: bytes, image_id: str | None = None) -> str:
        """Store a picture unless it is there; returns its image_id (given by a caller who has hashed it already).

        In a local store what is there is verified by its digest, and replaced when it is damaged.
        """
        image_id = image_id or sha256_hex(data)
        if self._folder is not None:
            _add_local(self._folder / key_of(image_id), data, image_id)
        elif not self._store.exists(key_of(image_id)):
            self._store.write(key_of(image_id), data)
        return image_id

    def read(self, image_id: str) -> bytes:
        """Bytes of a picture, verified. Raises NotFoundError, DigestError, StorageError."""
        return _verified(self._store.read(key_of(image_id)), image_id, self.uri_of(image_id))


def _add_local(path: Path, data: bytes, image_id: str) -> None:
    try:
        if path.exists() and sha256_of_file(path) == image_id:
            return
        write_bytes_atomic(path, data)
    except OSError as error:
        raise StorageError(f"{path} could not be written ({error.strerror}): make room, or allow it") from error


class PictureReader:
    """Reads pictures at the URIs that manifest rows record, whatever stores they lie in."""

    def __init__(self) -> None:
        self._stores: dict[str, ObjectStore] = {}

    def read(self, uri: str, image_id: str) -> bytes:
        """Bytes at `uri`, verified against `image_id`. Raises NotFoundError, DigestError, StorageError."""
        root, key = uri.rsplit("/", 2)[0], "/".join(uri.rsplit("/", 2)[1:])
        if root not in self._stores:
            self._stores[root] = open_store(root)
        return _verified(self._stores[root].read(key), image_id, uri)


def local_picture(uri: str, image_id: str, cache_dir: Path, reader: PictureReader) -> Path:
    """A local file with the picture's bytes: the store's own when it is a folder, else one fetched into the cache."""
    if scheme_of(uri) == "file":
        return local_path(uri)
    path = cache_dir / "pictures" / key_of(image_id)
    if not path.exists():
        write_bytes_atomic(path, reader.read(uri, image_id))
    return path


def _verified(data: bytes, image_id: str, uri: str) -> bytes:
    found = sha256_hex(data)
    if found != image_id:
        raise DigestError(
            f"{uri} has digest {found} instead of {image_id}: the store is damaged, acquire the data again"
        )
    return data
