"""Take back what people drew: all files are read and checked before anything is written, and one record takes it in whole.

Order: the record of votes and truths, the data set of all reviewed pictures, the ledger, the metrics. Whoever is killed between
them is caught up with by the next import, even one that brings nothing new.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from belisha.components.review import cvat, label_studio, own_json
from belisha.components.review.agreement import Agreement, agreement_of
from belisha.components.review.answers import MAX_FILE_BYTES, Items, annotator_name, parse_json_file, refuse_repeated
from belisha.components.review.consensus import truth_of
from belisha.components.review.dataset import write_reviewed_dataset
from belisha.components.review.drafts import finished_votes
from belisha.components.review.quality import LiveQuality, live_quality
from belisha.components.review.status import told_queue
from belisha.components.shared.errors import InputError, NoDataError
from belisha.components.shared.files import canonical_json, sha256_hex
from belisha.components.shared.ledger import Action, Clock, Draft, Ledger, LedgerState, Record, system_clock
from belisha.components.shared.numbered_records import Value
from belisha.components.shared.progress import ProgressSink
from belisha.components.shared.registry import REGISTRY_FOLDER
from belisha.components.shared.review_queue import (
    Batch,
    Import,
    Method,
    ReviewedPicture,
    Truth,
    Vote,
    import_json,
    import_records,
    latest_votes,
    parse_import,
    read_batches,
)
from belisha.components.shared.storage import ObjectStore, join_uri, open_store

PAGE = "page"


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """What to take in.

    Attributes:
        files: exports of Label Studio (JSON), CVAT for images 1.1 (XML or zip), or our own JSON; recognised by their content.
        page: take in what the review page has saved and people have called done.
        annotator: who drew what is in the files; empty takes the names in them.
        adjudicator: the files' people have seen the others' boxes and decide.
        deployment_name: of the metrics.
    """

    files: Sequence[Path] = ()
    page: bool = False
    annotator: str = ""
    adjudicator: bool = False
    deployment_name: str = "belisha"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        number: of its record; None when it brought nothing new.
        votes: that were new.
        truths: of the pictures concerned, by all votes so far.
        agreement: of all people on all pictures.
        quality: of the models on live traffic.
        reviewed: all reviewed pictures.
        votes_by_picture: picture id to voice to the last word.
        waiting: pictures that nobody has looked at.
        sentence: for people.
        warning: what else went wrong without harm, in a sentence; empty for nothing.
    """

    number: int | None
    votes: tuple[Vote, ...]
    truths: tuple[Truth, ...]
    agreement: Agreement
    quality: tuple[LiveQuality, ...]
    reviewed: tuple[ReviewedPicture, ...]
    votes_by_picture: dict[str, dict[str, Vote]]
    waiting: int
    sentence: str
    warning: str = ""

    def to_json(self) -> dict[str, Any]:
        """What `belisha review import --json` prints."""
        truths = [one.truth for one in self.reviewed]
        return {
            "import": self.number,
            "new_votes": len(self.votes),
            "pictures": len(self.truths),
            "reviewed": len(truths),
            "waiting": self.waiting,
            "pedestrians": sum(not box.ignore for truth in truths for box in truth.boxes),
            "disputed_boxes": sum(truth.disputed for truth in truths),
            "methods": {method.value: sum(truth.method is method for truth in truths) for method in Method},
            "agreement": self.agreement.to_json(),
            "live_quality": [one.to_json() for one in self.quality],
            "sentence": self.sentence,
            "warning": self.warning,
        }


def import_answers(
    storage_uri: str, settings: ImportSettings, progress: ProgressSink, clock: Clock = system_clock
) -> Imported:
    """Take in what people drew.

    Args:
        storage_uri: where `review/` and the ledger live.
        settings: what to take in.
        progress: told while pictures are copied.
        clock: tells now.

    Raises:
        InputError: a file cannot be used; nothing was written.
        NoDataError: nothing was given, or nothing was handed out yet.
        StorageError: a store failed; the same import again goes on.
    """
    store = open_store(storage_uri)
    batches = read_batches(store)
    votes = read_votes(store, batches, settings)
    origin = ", ".join([*(path.name for path in settings.files), *([PAGE] if settings.page else [])])
    records = import_records(store)

    def decide(values: Sequence[Value]) -> Value | None:
        before = latest_votes(parse_import(value) for value in values)
        new = [vote for vote in votes if before.get(vote.picture_id, {}).get(vote.voice) != vote]
        if not new:
            return None
        return import_json(Import(0, clock(), digest_of(new), origin, tuple(new), truths_after(before, new)))

    written = records.append(decide)
    reviewed, gone = write_reviewed_dataset(store, progress)
    imports = [parse_import(value) for value in records.read_all()]
    _record(Ledger(open_store(join_uri(storage_uri, REGISTRY_FOLDER)), clock=clock), imports)
    queue, warning = told_queue(store, settings.deployment_name)
    one = parse_import(written) if written else None
    by_picture = latest_votes(imports)
    return Imported(
        one.number if one else None, one.votes if one else (), one.truths if one else (), agreement_of(by_picture),
        tuple(live_quality(reviewed, batches)), tuple(reviewed), by_picture, queue.waiting,
        _sentence(one, len(reviewed), queue.waiting), _warning(gone, warning),
    )  # fmt: skip


def read_votes(store: ObjectStore, batches: Sequence[Batch], settings: ImportSettings) -> list[Vote]:
    """All votes of the files and the page, checked; raises InputError, NoDataError."""
    items = {item.picture_id: item for batch in batches for item in batch.items}
    if not items:
        raise NoDataError(f"no picture was handed out from {store.uri} yet: run `belisha review select` first")
    if settings.annotator:
        annotator_name(settings.annotator, "--annotator")
    votes = [vote for path in settings.files for vote in votes_in(path, items, settings)]
    refuse_repeated(votes, " and ".join(path.name for path in settings.files))
    votes += finished_votes(store, items) if settings.page else []
    if not votes:
        what = "the page's answers" if settings.page else ", ".join(map(str, settings.files)) or "nothing"
        raise NoDataError(f"no finished picture was found in {what}: finish some first, or give the files of an export")
    return votes


def votes_in(path: Path, items: Items, settings: ImportSettings) -> list[Vote]:
    """Votes of one file of any known format; raises InputError."""
    data, where = _read(path), str(path)
    if cvat.is_cvat(data):
        return cvat.votes_of(data, items, where, settings.annotator, adjudicator=settings.adjudicator)
    document = parse_json_file(data, where)
    if own_json.is_own(document):
        return own_json.votes_of(document, items, where, settings.annotator, adjudicator=settings.adjudicator)
    if label_studio.is_label_studio(document):
        return label_studio.votes_of(document, items, where, settings.annotator, adjudicator=settings.adjudicator)
    raise InputError(
        f"{where} is no export that we know: expected Label Studio's JSON, CVAT for images 1.1, "
        f"or JSON with the schema {own_json.ANSWERS_SCHEMA!r}"
    )


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{path} has {size} bytes, at most {MAX_FILE_BYTES} are allowed: export it in parts")
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give the file that the tool has exported"
        ) from None


def truths_after(before: dict[str, dict[str, Vote]], new: Sequence[Vote]) -> tuple[Truth, ...]:
    """Truths of the pictures that new votes concern, by all votes together."""
    merged = {vote.picture_id: dict(before.get(vote.picture_id, {})) for vote in new}
    for vote in new:
        merged[vote.picture_id][vote.voice] = vote
    return tuple(truth_of(picture_id, list(votes.values())) for picture_id, votes in sorted(merged.items()))


def digest_of(votes: Sequence[Vote]) -> str:
    """SHA-256 of votes, whatever their order."""
    ordered = sorted(votes, key=lambda vote: (vote.picture_id, vote.voice))
    return sha256_hex(canonical_json([asdict(vote) for vote in ordered]))


def _record(ledger: Ledger, imports: Sequence[Import]) -> None:
    """Tell the ledger of every import that it has not heard of."""
    told = {record.draft.details.get("import") for record in ledger.records() if record.draft.action is Action.REVIEW}
    for one in imports:
        if one.number not in told:
            ledger.append(functools.partial(_untold, one))


def _untold(one: Import, records: list[Record], state: LedgerState) -> Draft | None:
    """The ledger's record of an import, or None when it has one."""
    reviews = (record.draft for record in records if record.draft.action is Action.REVIEW)
    if any(draft.details.get("import") == one.number for draft in reviews):
        return None
    people = sorted({vote.annotator for vote in one.votes})
    details = {
        "kind": "imported", "import": one.number, "votes": len(one.votes), "pictures": len(one.truths), "annotators": people,
        "disputed_boxes": sum(truth.disputed for truth in one.truths),
    }  # fmt: skip
    reason = f"{len(one.votes)} answers of {len(people)} people on {len(one.truths)} pictures came back"
    return Draft(Action.REVIEW, f"review import {one.number}", reason, state, one.digest, "", details)


def _warning(gone: int, other: str) -> str:
    lost = (
        f"{gone} reviewed pictures are gone from the store or damaged, so the next data set lacks them" if gone else ""
    )
    return "; ".join(part for part in (lost, other) if part)


def _sentence(one: Import | None, reviewed: int, waiting: int) -> str:
    queue = f"{reviewed} pictures are reviewed, {waiting} wait"
    if one is None:
        return f"nothing new: these answers were taken in before; {queue}"
    people = len({vote.annotator for vote in one.votes})
    alone = sum(truth.method is Method.ONE_ANNOTATOR for truth in one.truths)
    disputed = sum(truth.disputed for truth in one.truths)
    taken = f"; on {alone} of them one person's boxes are taken as they are" if alone else ""
    open_ = f"; {disputed} disputed boxes are ignore regions until an adjudicator decides" if disputed else ""
    took = f"import {one.number} took in {len(one.votes)} answers of {people} people on {len(one.truths)} pictures"
    return f"{took}{taken}{open_}; {queue}"
