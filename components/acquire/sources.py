"""Where labelled pictures come from: folders, archives, web addresses, object stores and the synthetic generator.

Whatever it is, it ends as a folder (or label file) on this machine. What had to be fetched or unpacked lies in a working
folder that the caller removes.
"""

from __future__ import annotations

import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit, urlunsplit

from belisha import __version__
from belisha.components.acquire.archives import ArchiveLimits, archive_stem, extract, has_archive_suffix, is_archive
from belisha.components.shared.errors import InputError, NotFoundError, StorageError
from belisha.components.shared.inference import map_bounded, usable_cpus
from belisha.components.shared.progress import ProgressEvent, ProgressSink, tracked
from belisha.components.shared.storage import ObjectStore, local_path, open_store, scheme_of

SYNTHETIC_SCHEME = "synthetic"
_DOWNLOADS_AT_ONCE = 16
_PICTURES_WORTH_PROCESSES = 200
_ATTEMPTS = 4
_TIMEOUT_SECONDS = 60.0
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """A source made local.

    Attributes:
        name: short and unique among the sources, for manifest rows and the data card.
        uri: as it was given, without credentials and signatures.
        root: folder or label file on this machine.
    """

    name: str
    uri: str
    root: Path

    def in_users_words(self, sentence: str) -> str:
        """A sentence with the address the user gave instead of the working folder it was unpacked to."""
        return sentence.replace(str(self.root), self.uri)


def open_sources(uris: Sequence[str], workdir: Path, limits: ArchiveLimits, progress: ProgressSink) -> list[Source]:
    """Bring all sources to this machine, in the order given.

    Args:
        uris: paths or URIs (`http(s)`, `s3`, `gs`, `az`, `synthetic`).
        workdir: an existing folder for what has to be fetched or unpacked.
        limits: bounds on archives.
        progress: told while fetching and unpacking.

    Raises:
        InputError: a source does not exist, is neither folder nor archive, or its archive is not to be trusted.
        StorageError: a source could not be reached.
    """
    if not uris:
        raise InputError("no source is given: name a folder, an archive or a URI of labelled pictures")
    sources: list[Source] = []
    for index, uri in enumerate(uris):
        name = _unique(name_of(uri), {source.name for source in sources})
        sources.append(Source(name, redacted(uri), make_local(uri, workdir / str(index), limits, progress)))
    return sources


def make_local(uri: str, workdir: Path, limits: ArchiveLimits, progress: ProgressSink) -> Path:
    """Bring one source to this machine; returns its folder, or the one file it is. Raises as `open_sources`."""
    if is_synthetic(uri):
        return _generated(uri, workdir / "generated", progress)
    scheme = scheme_of(uri)
    if scheme == "file":
        return _local(local_path(uri), workdir, limits, progress)
    workdir.mkdir(parents=True, exist_ok=True)
    if scheme in ("http", "https"):
        return _unpacked(_downloaded(uri, workdir / "download", progress), uri, workdir, limits, progress)
    return _from_store(uri, workdir, limits, progress)


def is_synthetic(uri: str) -> bool:
    """Whether a source is the generator."""
    return urlsplit(uri).scheme.lower() == SYNTHETIC_SCHEME


def name_of(uri: str) -> str:
    """A short name for a source: the last part of its path without archive suffix."""
    if is_synthetic(uri):
        return f"{SYNTHETIC_SCHEME}-{urlsplit(uri).netloc}"
    path = str(local_path(uri).resolve()) if scheme_of(uri) == "file" else urlsplit(uri).path.rstrip("/")
    last = PurePosixPath(path).name or urlsplit(uri).netloc
    return archive_stem(last) or "pictures"


def redacted(uri: str) -> str:
    """A URI without user, password and query, which may hold signatures; the generator's settings are kept."""
    if "://" not in uri or is_synthetic(uri):
        return uri
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _unique(name: str, taken: set[str]) -> str:
    number = 2
    found = name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


def _generated(uri: str, folder: Path, progress: ProgressSink) -> Path:
    from belisha.components.acquire.synthetic import generate, parse_synthetic_uri

    folder.parent.mkdir(parents=True, exist_ok=True)
    settings = parse_synthetic_uri(uri)
    generate(folder, settings, progress, workers=usable_cpus() if settings.pictures >= _PICTURES_WORTH_PROCESSES else 1)
    return folder


def _local(path: Path, workdir: Path, limits: ArchiveLimits, progress: ProgressSink) -> Path:
    if path.is_dir():
        return path
    if not path.is_file():
        raise InputError(f"{path} does not exist: give a folder or an archive of labelled pictures, or a URI")
    if is_archive(path):
        workdir.mkdir(parents=True, exist_ok=True)
        return _unpacked(path, str(path), workdir, limits, progress)
    if has_archive_suffix(path.name):
        raise InputError(f"{path} is named like an archive but is none: fetch or make it again")
    return path


def _unpacked(archive: Path, uri: str, workdir: Path, limits: ArchiveLimits, progress: ProgressSink) -> Path:
    if not is_archive(archive):
        raise InputError(f"{redacted(uri)} is no archive (zip, tar, tar.gz, tar.bz2, tar.xz): check the address")
    target = workdir / "unpacked"
    target.mkdir()
    try:
        extract(archive, target, limits, progress)
    except InputError as error:
        raise InputError(str(error).replace(str(archive), redacted(uri))) from None
    if archive.parent == workdir:
        archive.unlink()
    return target


def _from_store(uri: str, workdir: Path, limits: ArchiveLimits, progress: ProgressSink) -> Path:
    parent, _, last = uri.rstrip("/").rpartition("/")
    if not has_archive_suffix(last):
        target = workdir / "fetched"
        if _fetch_prefix(open_store(uri.rstrip("/")), target, progress):
            return target
    if parent.endswith("/"):
        raise InputError(f"{uri} is empty: give the address of a folder of labelled pictures or of an archive")
    store, path = open_store(parent), workdir / "download"
    try:
        with path.open("wb") as stream:
            store.download(last, stream)
    except NotFoundError:
        raise InputError(f"nothing lies at {uri}: give the address of a folder or of an archive") from None
    return _unpacked(path, uri, workdir, limits, progress)


def _fetch_prefix(store: ObjectStore, target: Path, progress: ProgressSink) -> int:
    """Download everything below a store's root; returns how many objects there were."""
    keys = list(store.list(""))

    def fetch(key: str) -> None:
        parts = PurePosixPath(key).parts
        if ".." in parts or key.startswith("/"):
            raise InputError(f"{store.uri} has an object {key[:120]!r} that leaves its folder: do not trust it")
        path = target.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            store.download(key, stream)

    fetched = map_bounded(fetch, keys, _DOWNLOADS_AT_ONCE)
    return sum(1 for _ in tracked(fetched, progress, step="fetch", unit="files", total=len(keys)))


def _downloaded(url: str, path: Path, progress: ProgressSink) -> Path:
    """Download a file over HTTP, with a few attempts where the fault may pass."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _download_once(url, path, progress)
            return path
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise InputError(f"{redacted(url)} answers {error.code} {error.reason}: check the address") from None
            reason = f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        if attempt < _ATTEMPTS:
            time.sleep(0.5 * 2**attempt)
    raise StorageError(f"{redacted(url)} could not be fetched ({reason}): check the address and the network")


def _download_once(url: str, path: Path, progress: ProgressSink) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": f"belisha/{__version__}"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0) or None
        if (total or 0) > shutil.disk_usage(path.parent).free:
            raise InputError(f"{redacted(url)} has {total} bytes, more than the disk has room for: make room")
        done = 0
        while piece := answer.read(_PIECE_BYTES):
            file.write(piece)
            done += len(piece)
            progress(ProgressEvent("fetch", done >> 20, total and total >> 20, "MiB"))
        if total is not None and done < total:
            raise http.client.IncompleteRead(b"", total - done)
