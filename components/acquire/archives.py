"""Archives of unknown origin, unpacked safely: nothing leaves the target folder, and nothing grows beyond its bounds."""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from belisha.components.shared.errors import InputError
from belisha.components.shared.progress import ProgressEvent, ProgressSink

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_COPY_BYTES = 1 << 20
# What one tar header with its extensions may take: it is read into memory, unlike the files.
_HEADER_BYTES = 4 << 20
_UNSEEN_FOLDERS = frozenset({"__MACOSX"})
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Bounds on what an archive may unpack to.

    Attributes:
        max_entries: files and folders.
        max_bytes: of all files together.
        max_ratio: bytes unpacked over bytes packed; pictures do not shrink, label files by 10 to 50.
        free_bytes: unpacked bytes to which `max_ratio` does not apply, so that a small archive of labels is no suspect.
    """

    max_entries: int = 2_000_000
    max_bytes: int = 2_000_000_000_000
    max_ratio: float = 100.0
    free_bytes: int = 256_000_000


def is_archive(path: Path) -> bool:
    """Whether a file is an archive by its content, whatever its name."""
    return zipfile.is_zipfile(path) or _is_tar(path)


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, *_DAMAGE):
        return False


def archive_stem(name: str) -> str:
    """A file's name without its archive suffix."""
    suffix = next((suffix for suffix in ARCHIVE_SUFFIXES[::-1] if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)] or name


def has_archive_suffix(name: str) -> bool:
    """Whether a name ends as archives do."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def extract(archive: Path, target: Path, limits: ArchiveLimits, progress: ProgressSink) -> None:
    """Unpack a zip or tar (also gz, bz2, xz) into an empty folder.

    Plain files and folders alone are accepted; hidden helper files of other systems are left out.

    Raises:
        InputError: an entry would leave the folder, is a link or a device, the archive is a bomb, encrypted or damaged.
            `target` may hold a part of it then.
    """
    unpacking = _Unpacking(archive, target, limits, progress)
    try:
        if zipfile.is_zipfile(archive):
            _extract_zip(archive, unpacking)
        else:
            _extract_tar(archive, unpacking)
    except _DAMAGE as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(f"the archive {archive} cannot be unpacked ({reason}): fetch or make it again") from None
    except OSError as error:
        raise InputError(f"the archive {archive} cannot be unpacked ({error}): fetch it again, or make room") from None
    unpacking.finish()


class _Unpacking:
    """Where entries go, and the account of what they took."""

    def __init__(self, archive: Path, target: Path, limits: ArchiveLimits, progress: ProgressSink) -> None:
        self.archive = archive
        self._target = target
        self._limits = limits
        self._progress = progress
        self._entries = 0
        self._bytes = 0
        by_ratio = max(limits.free_bytes, int(limits.max_ratio * archive.stat().st_size))
        self._most_bytes = min(limits.max_bytes, by_ratio, shutil.disk_usage(target).free)
        target.mkdir(parents=True, exist_ok=True)

    def count_entry(self) -> None:
        """Count a file or folder; raises InputError beyond the bound."""
        self._entries += 1
        if self._entries > self._limits.max_entries:
            raise self.refusal(f"has more than {self._limits.max_entries} entries", "split it")
        if self._entries % 200 == 0:
            self._progress(ProgressEvent("unpack", self._entries, None, "files"))

    def place_of(self, name: str) -> Path | None:
        """The path for an entry inside the target; None for what is left out; raises InputError when it would escape."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or name[1:2] == ":":
            raise self.refusal(f"has an entry {name[:120]!r} that leaves its folder", "do not trust it")
        if path.name.startswith("._") or _UNSEEN_FOLDERS & set(path.parts):
            return None
        return self._target.joinpath(*path.parts)

    def copy(self, stream: BinaryIO, place: Path) -> None:
        """Copy a file's bytes, counting what really comes, whatever the headers claim."""
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            while piece := stream.read(_COPY_BYTES):
                self.count_bytes(len(piece))
                file.write(piece)

    def count_bytes(self, length: int) -> None:
        """Count unpacked bytes; raises InputError beyond the bound."""
        self._bytes += length
        if self._bytes > self._most_bytes:
            raise self.refusal(
                f"unpacks to more than {self._most_bytes} bytes, the most that its size, the limits or the disk allow",
                "unpack it yourself if you trust it, and give the folder",
            )

    def refusal(self, what: str, advice: str) -> InputError:
        """A sentence about this archive."""
        return InputError(f"the archive {self.archive} {what}: {advice}")

    def finish(self) -> None:
        """Tell that all is unpacked."""
        self._progress(ProgressEvent("unpack", self._entries, self._entries, "files"))


def _extract_zip(archive: Path, unpacking: _Unpacking) -> None:
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            unpacking.count_entry()
            mode = entry.external_attr >> 16
            kind = stat.S_IFMT(mode)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise unpacking.refusal(f"has a link or device {entry.filename[:120]!r}", "pack plain files alone")
            place = unpacking.place_of(entry.filename.replace("\\", "/"))
            if place is None:
                continue
            if entry.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            with packed.open(entry) as stream:
                unpacking.copy(cast("BinaryIO", stream), place)


def _extract_tar(archive: Path, unpacking: _Unpacking) -> None:
    with _unpacked_stream(archive) as stream:
        bounded = _BoundedStream(stream, unpacking)
        with tarfile.open(fileobj=cast("BinaryIO", bounded), mode="r|") as packed:
            while (entry := _next_entry(packed, bounded)) is not None:
                unpacking.count_entry()
                _extract_tar_entry(packed, entry, unpacking)


def _next_entry(packed: tarfile.TarFile, bounded: _BoundedStream) -> tarfile.TarInfo | None:
    bounded.header_budget = _HEADER_BYTES
    entry = packed.next()
    bounded.header_budget = None
    return entry


def _extract_tar_entry(packed: tarfile.TarFile, entry: tarfile.TarInfo, unpacking: _Unpacking) -> None:
    place = unpacking.place_of(entry.name)
    if entry.isdir():
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
        return
    if not entry.isreg() or entry.issparse():
        raise unpacking.refusal(f"has a link, device or sparse file {entry.name[:120]!r}", "pack plain files alone")
    stream = packed.extractfile(entry)
    assert stream is not None
    unpacking.copy(cast("BinaryIO", stream), place if place is not None else Path(os.devnull))


class _BoundedStream:
    """The unpacked tar as tarfile reads it; headers, which it keeps in memory, have a budget of their own."""

    def __init__(self, stream: BinaryIO, unpacking: _Unpacking) -> None:
        self._stream = stream
        self._unpacking = unpacking
        self.header_budget: int | None = _HEADER_BYTES  # opening reads the first header

    def read(self, length: int) -> bytes:
        """Read; raises InputError when a header is larger than headers are."""
        data = self._stream.read(length)
        if self.header_budget is not None:
            self.header_budget -= len(data)
            if self.header_budget < 0:
                raise self._unpacking.refusal("has a header of many megabytes", "do not trust it")
        return data


def _unpacked_stream(archive: Path) -> BinaryIO:
    """The tar inside, by the first bytes: gzip, bzip2, xz, or nothing around it."""
    import bz2
    import gzip

    with archive.open("rb") as raw:
        head = raw.read(6)
    if head.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", gzip.open(archive))
    if head.startswith(b"BZh"):
        return cast("BinaryIO", bz2.open(archive))
    if head.startswith(b"\xfd7zXZ"):
        return cast("BinaryIO", lzma.open(archive))
    return archive.open("rb")
