"""What a person may set about ingestion, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from belisha.components.acquire.archives import ArchiveLimits
from belisha.components.acquire.labels import BoxOrigin
from belisha.components.shared.images import DecodeLimits


@dataclass(frozen=True, slots=True)
class AcquireOptions:
    """How to ingest.

    Attributes:
        format: name of the label reader for every source; empty: recognised source by source.
        images: folder, archive or URI of the pictures when they are not beside the labels; empty: beside them.
        class_map: the user's rules, source class to `pedestrian`, `ignore` or `drop`.
        box_origin: how pixels are counted where a format leaves it open.
        difficult_is_ignored: VOC objects marked `difficult` become ignore regions.
        licence: for pictures whose source does not state one.
        name: of the dataset; empty: the names of its sources.
        workers: pictures in the works at once; 0: the CPUs this process may use, and four times as many for a remote store.
        decode_limits: a picture beyond them goes into quarantine.
        archive_limits: an archive beyond them is refused.
    """

    format: str = ""
    images: str = ""
    class_map: Mapping[str, str] = field(default_factory=dict)
    box_origin: BoxOrigin = BoxOrigin.AUTO
    difficult_is_ignored: bool = False
    licence: str = ""
    name: str = ""
    workers: int = 0
    decode_limits: DecodeLimits = field(default_factory=DecodeLimits)
    archive_limits: ArchiveLimits = field(default_factory=ArchiveLimits)


@dataclass(frozen=True, slots=True)
class AcquireSummary:
    """What came of it.

    Attributes:
        images: pictures in the dataset.
        pedestrians: boxes that count.
        ignored: ignore regions.
        quarantined: pictures left out, each with its reason in `quarantine.json`.
        digest: of the dataset's pictures and boxes.
        notes: sentences that a person should read: repeated pictures, refused boxes, warnings of the label readers.
    """

    images: int
    pedestrians: int
    ignored: int
    quarantined: int
    digest: str
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What `belisha acquire --json` prints."""
        return {name: value for name, value in asdict(self).items() if name != "notes"}
