"""Ingested pictures of several sources to the rows of one dataset, with an account of everything left out on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from belisha.components.acquire.ingest import Stored
from belisha.components.acquire.labels import LabelledPicture, Labels
from belisha.components.acquire.quarantine import CUT, Quarantined, Unusable, clip_boxes
from belisha.components.acquire.sources import Source
from belisha.components.shared.manifest import Picture, content_digest
from belisha.components.shared.picture_store import PictureStore

_MAX_EXAMPLES = 5


@dataclass(slots=True)
class SourceAccount:
    """What became of one source.

    Attributes:
        source: where it lies.
        labels: what its reader found.
        pictures: its pictures by image_id, whether or not an earlier source had them too.
        quarantined: pictures left out.
        refused_boxes: reason to number of boxes refused, by the reader and at the picture's border.
        clipped_boxes: boxes cut at the border.
        repeated_same: pictures that stood in the dataset already with the same labels.
        repeated_other: pictures that stood there with other labels; the first labels are kept.
        examples: names of a few of the latter.
    """

    source: Source
    labels: Labels
    pictures: dict[str, Picture] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)
    refused_boxes: Counter[str] = field(default_factory=Counter)
    clipped_boxes: int = 0
    repeated_same: int = 0
    repeated_other: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Digest that a dataset of this source alone has."""
        return content_digest(self.pictures.values())


class Merger:
    """Collects pictures in the order of the sources; of a picture that comes again the first labels are kept."""

    def __init__(self, store: PictureStore, images_root: Path | None) -> None:
        self.pictures: dict[str, Picture] = {}
        self.hashes: dict[str, int] = {}
        self.accounts: list[SourceAccount] = []
        self._store = store
        self._images_root = images_root

    def begin(self, source: Source, labels: Labels) -> SourceAccount:
        """Open the account of the next source."""
        account = SourceAccount(source, labels, refused_boxes=Counter(labels.refused))
        self.accounts.append(account)
        return account

    def add(self, account: SourceAccount, labelled: LabelledPicture, found: Stored | Unusable) -> None:
        """Take in one picture of the source."""
        name = self._name_of(labelled.path, account.source.root)
        if isinstance(found, Unusable):
            sentence = account.source.in_users_words(found.sentence)
            account.quarantined.append(Quarantined(account.source.name, name, found.reason, sentence))
            return
        picture = self._picture(account, labelled, found)
        earlier = self.pictures.setdefault(picture.image_id, picture)
        account.pictures.setdefault(picture.image_id, picture)
        self.hashes[picture.image_id] = found.hash64
        if earlier is not picture:
            _count_repeated(account, name, same=content_digest([earlier]) == content_digest([picture]))

    def _picture(self, account: SourceAccount, labelled: LabelledPicture, found: Stored) -> Picture:
        boxes, refused = clip_boxes(labelled.boxes, found.width_px, found.height_px)
        account.clipped_boxes += refused.pop(CUT, 0)
        account.refused_boxes.update(refused)
        return Picture(
            image_id=found.image_id,
            uri=self._store.uri_of(found.image_id),
            width_px=found.width_px,
            height_px=found.height_px,
            source=account.source.name,
            licence=labelled.licence,
            captured_at=labelled.captured_at,
            camera=labelled.camera,
            condition=labelled.condition,
            group_id=_group_of(account.source, labelled),
            boxes=boxes,
        )

    def _name_of(self, path: Path, root: Path) -> str:
        """The picture's path as the user knows it."""
        for folder in (root, root.parent, self._images_root):
            if folder is not None and path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return str(path)


def _group_of(source: Source, labelled: LabelledPicture) -> str:
    """Sequences of two sources may share a name without being one sequence."""
    return f"{source.name}/{labelled.group_id}" if labelled.group_id else ""


def _count_repeated(account: SourceAccount, name: str, *, same: bool) -> None:
    if same:
        account.repeated_same += 1
        return
    account.repeated_other += 1
    if len(account.examples) < _MAX_EXAMPLES:
        account.examples.append(name)


def notes_of(account: SourceAccount) -> list[str]:
    """Sentences about one source that a person should read."""
    name, notes = account.source.name, []
    notes += [f"{name}: {account.source.in_users_words(warning)}" for warning in account.labels.warnings]
    if account.quarantined:
        reasons = _listed(Counter(entry.reason for entry in account.quarantined))
        notes.append(f"{name}: {len(account.quarantined)} pictures are in quarantine ({reasons})")
    if account.refused_boxes:
        total = account.refused_boxes.total()
        notes.append(f"{name}: {total} labels were refused ({_listed(account.refused_boxes)})")
    if account.clipped_boxes:
        notes.append(f"{name}: {account.clipped_boxes} boxes were cut at the picture's border")
    if account.repeated_same:
        notes.append(f"{name}: {account.repeated_same} pictures were there already with the same labels")
    if account.repeated_other:
        examples = ", ".join(account.examples)
        notes.append(
            f"{name}: {account.repeated_other} pictures were there already with other labels, the first ones were kept "
            f"(e.g. {examples})"
        )
    return notes


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
