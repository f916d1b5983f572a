"""A source that holds its labels in several formats at once, as exports for several tools do.

Nothing is guessed: all of them are read, and only when every picture has the same boxes in each does it not matter which is
taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from belisha.components.acquire.label_files import FileListing
from belisha.components.acquire.labels import Labels, Reader, ReaderOptions
from belisha.components.shared.errors import InputError
from belisha.components.shared.manifest import Picture, content_digest


class AgreeingReaders:
    """Reads by every reader and demands the same pictures and boxes; the one with the least to warn of is kept."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._readers = tuple(readers)
        self.name = ", ".join(reader.name for reader in readers)

    def detect(self, listing: FileListing) -> bool:
        """Whether all the formats are there."""
        return all(reader.detect(listing) for reader in self._readers)

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """See `labels.Reader`; raises InputError also when the formats disagree."""
        found = [reader.read(root, options) for reader in self._readers]
        if len({_digest(labels) for labels in found}) > 1:
            counts = ", ".join(
                f"{one.format} {len(one.pictures)} pictures with {one.pedestrians} pedestrians" for one in found
            )
            raise InputError(
                f"{root} holds different labels in several formats ({counts}): choose one with --format, or give its own folder"
            )
        chosen = min(found, key=lambda labels: len(labels.warnings))
        note = f"the same boxes are there in several formats ({self.name}): those of {chosen.format} were taken"
        return replace(chosen, warnings=(*chosen.warnings, note))


def _digest(labels: Labels) -> str:
    return content_digest(Picture(str(picture.path), "", 1, 1, "", boxes=picture.boxes) for picture in labels.pictures)
