"""Finding the picture a label speaks of, among files that really are there: a name in a label can never leave the folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from belisha.components.acquire.label_files import BadLabelError, FileListing, is_picture, list_files

_MAX_NAME_BYTES = 255
# Segmentation masks share names with the pictures beside them.
_MASK_FOLDERS = frozenset({"PedMasks", "SegmentationClass", "SegmentationObject", "masks"})


class PictureIndex:
    """Pictures below one folder by name and by stem."""

    def __init__(self, folder: Path, files: Iterable[Path]) -> None:
        self.folder = folder
        self.paths = tuple(path for path in files if is_picture(path) and path.parent.name not in _MASK_FOLDERS)
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            self._by_name[path.name].append(path)
            self._by_stem[path.stem].append(path)

    def find(self, name: str, *, near: Path | None = None) -> Path | None:
        """The picture called `name` (folders in it help to choose; a missing suffix is tolerated), or None.

        Args:
            name: as the label has it, with slashes or backslashes.
            near: the label file; among pictures of one name that with most folders in common is taken.

        Raises:
            BadLabelError: `ambiguous_picture` when several fit equally, `bad_name` when it is no file name.
        """
        wanted = _parts(name)
        candidates = self._by_name.get(wanted[-1]) or self._by_stem.get(wanted[-1], [])
        return self._best(candidates, wanted, near)

    def find_stem(self, stem: str, *, near: Path | None = None) -> Path | None:
        """The picture called `stem` plus any picture suffix, or None; raises BadLabelError as `find`."""
        wanted = _parts(stem)
        return self._best(self._by_stem.get(wanted[-1], []), wanted, near)

    def missing(self, name: str) -> Path:
        """The path under which a picture that was not found is reported; inside the folder, whatever the label says."""
        return self.folder / _parts(name)[-1]

    def find_or_missing(self, name: str, *, near: Path | None = None) -> Path:
        """`find`, or `missing` when there is none."""
        return self.find(name, near=near) or self.missing(name)

    def _best(self, candidates: list[Path], wanted: tuple[str, ...], near: Path | None) -> Path | None:
        if len(candidates) <= 1:
            return candidates[0] if candidates else None
        ranked = sorted(((_rank(path, wanted, near), path) for path in candidates), reverse=True)
        if ranked[0][0] == ranked[1][0]:
            raise BadLabelError(
                "ambiguous_picture",
                f"{'/'.join(wanted)} may be {ranked[1][1]} or {ranked[0][1]}: give the pictures' folder with --images",
            )
        return ranked[0][1]


def open_index(listing: FileListing, images_dir: Path | None) -> PictureIndex:
    """Index of `images_dir` when it is given, else of the source (the folder around it when the source is one file).

    Raises:
        InputError: `images_dir` does not exist.
    """
    if images_dir is not None:
        return PictureIndex(images_dir, list_files(images_dir).files)
    if listing.root == listing.folder:
        return PictureIndex(listing.root, listing.files)
    return PictureIndex(listing.folder, list_files(listing.folder).files)


def _parts(name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name.strip().replace("\\", "/")).parts
    clean = tuple(part for part in parts if part not in ("/", ".", ".."))
    too_long = bool(clean) and len(clean[-1].encode(errors="replace")) > _MAX_NAME_BYTES
    if not clean or too_long or not clean[-1].isprintable():
        raise BadLabelError("bad_name", f"{name[:80]!r} is no name of a picture file")
    return clean


def _rank(path: Path, wanted: tuple[str, ...], near: Path | None) -> tuple[int, int]:
    """How many folders agree with the name from its end, then how many are shared with the label file."""
    agreeing = 0
    for one, other in zip(reversed(path.parts[:-1]), reversed(wanted[:-1]), strict=False):
        if one != other:
            break
        agreeing += 1
    return agreeing, len({*path.parts[:-1]} & {*near.parts}) if near else 0
