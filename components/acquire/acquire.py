"""Labelled pictures of any known format in, one dataset folder out.

The folder holds `manifest.parquet`, `dataset.json`, `quarantine.json` (what was left out and why), `fingerprints.parquet`
(perceptual hash of each picture) and `card.html`. Pictures go to the content-addressed store. Nothing is left behind when
nothing usable was found; a killed run goes on where it was when it is started again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from belisha.components.acquire.card import write_card
from belisha.components.acquire.class_map import class_map
from belisha.components.acquire.ingest import Journal, ingest
from belisha.components.acquire.label_files import list_files
from belisha.components.acquire.labels import LabelledPicture, Labels, ReaderOptions
from belisha.components.acquire.merge import Merger, SourceAccount, notes_of
from belisha.components.acquire.options import AcquireOptions, AcquireSummary
from belisha.components.acquire.picture_index import open_index
from belisha.components.acquire.quarantine import QUARANTINE_FILE, write_quarantine
from belisha.components.acquire.readers import detect_format, reader_named
from belisha.components.acquire.sources import Source, make_local, open_sources
from belisha.components.acquire.workspace import Workspace, put_in_place, remove_if_empty, workspace
from belisha.components.shared.errors import InputError
from belisha.components.shared.fingerprints import write_fingerprints
from belisha.components.shared.inference import usable_cpus
from belisha.components.shared.manifest import DatasetInfo, write_dataset
from belisha.components.shared.picture_store import PictureStore
from belisha.components.shared.progress import ProgressEvent, ProgressSink, tracked
from belisha.components.shared.storage import local_path, open_store, scheme_of

CARD_FILE = "card.html"
# A remote store is waited for, not computed on.
_REMOTE_WORKERS_PER_CPU = 4


def acquire(
    sources: Sequence[str], dataset_dir: Path, pictures_uri: str, options: AcquireOptions, progress: ProgressSink
) -> AcquireSummary:
    """Ingest labelled pictures.

    Args:
        sources: folders, label files, archives, or URIs (`http(s)`, `s3`, `gs`, `az`, `synthetic`); of a picture that stands in
            several the labels of the first are kept.
        dataset_dir: where the dataset goes; other files there stay.
        pictures_uri: root of the picture store.
        options: how to read and what to allow.
        progress: told while fetching, unpacking and storing.

    Raises:
        InputError: an option or a source cannot be used, or no picture was usable; nothing was written.
        StorageError: a source or the store could not be reached; the same call again goes on.
    """
    dataset_dir = dataset_dir.absolute()
    _refuse_source_as_output(sources, dataset_dir)
    with workspace(dataset_dir) as work:
        opened = open_sources(sources, work.fetched, options.archive_limits, progress)
        images_root = _images_root(options, work, progress)
        labels = [_read_labels(one, _images_for(one, images_root, opened), options, progress) for one in opened]
        merger = _ingest_all(opened, labels, images_root, pictures_uri, options, work, progress)
        notes = tuple(note for account in merger.accounts for note in notes_of(account))
        info = _write_all(work.new, merger, notes, options.name or "+".join(source.name for source in opened))
        put_in_place(work.new, dataset_dir)
    quarantined = sum(len(account.quarantined) for account in merger.accounts)
    return AcquireSummary(info.images, info.pedestrians, info.ignored, quarantined, info.digest, notes)


def _refuse_source_as_output(sources: Sequence[str], dataset_dir: Path) -> None:
    for source in sources:
        if "://" not in source and local_path(source).resolve() == dataset_dir.resolve():
            raise InputError(f"{source} is both source and output: choose another --out")


def _images_root(options: AcquireOptions, work: Workspace, progress: ProgressSink) -> Path | None:
    if not options.images:
        return None
    root = make_local(options.images, work.fetched / "images", options.archive_limits, progress)
    if not root.is_dir():
        raise InputError(f"{options.images} is neither a folder nor an archive: give the folder of the pictures")
    return root


def _images_for(source: Source, images_root: Path | None, sources: Sequence[Source]) -> Path | None:
    """The pictures' folder for one source; of several sources those with pictures of their own do not need it."""
    if images_root is None or len(sources) == 1:
        return images_root
    return None if open_index(list_files(source.root), None).paths else images_root


def _read_labels(source: Source, images_root: Path | None, options: AcquireOptions, progress: ProgressSink) -> Labels:
    """Read one source's labels; raises InputError in the user's words, also when not one of the pictures is there."""
    reading = ReaderOptions(
        images_dir=images_root,
        class_map=class_map(options.class_map),
        box_origin=options.box_origin,
        licence=options.licence,
        difficult_is_ignored=options.difficult_is_ignored,
    )
    progress(ProgressEvent("labels", 0, None, "pictures", source.name))
    try:
        reader = reader_named(options.format) if options.format else detect_format(source.root)
        labels = reader.read(source.root, reading)
    except InputError as error:
        raise InputError(source.in_users_words(str(error))) from None
    if not labels.pictures:
        raise InputError(f"{source.uri} holds no labelled picture ({labels.format} labels were read): check the folder")
    if not any(picture.path.exists() for picture in labels.pictures):
        raise InputError(
            f"{source.uri} has labels for {len(labels.pictures)} pictures, but none of them is there: "
            "give the pictures' folder with --images"
        )
    progress(ProgressEvent("labels", len(labels.pictures), len(labels.pictures), "pictures", source.name))
    return labels


def _ingest_all(
    sources: Sequence[Source],
    labels: Sequence[Labels],
    images_root: Path | None,
    pictures_uri: str,
    options: AcquireOptions,
    work: Workspace,
    progress: ProgressSink,
) -> Merger:
    """Store all pictures and merge their rows; raises InputError when nothing was usable."""
    store = PictureStore(open_store(pictures_uri))
    merger = Merger(store, images_root)
    workers = options.workers or usable_cpus() * (1 if scheme_of(pictures_uri) == "file" else _REMOTE_WORKERS_PER_CPU)
    work_list = list(_work_list(sources, labels, merger))
    with Journal(work.journal) as journal:
        found = ingest([picture for _, picture in work_list], store, journal, options.decode_limits, workers)
        shown = tracked(found, progress, step="acquire", unit="pictures", total=len(work_list))
        for (account, picture), result in zip(work_list, shown, strict=True):
            merger.add(account, picture, result)
    if not merger.pictures:
        if scheme_of(pictures_uri) == "file":
            remove_if_empty(local_path(pictures_uri))
        first = next(entry for account in merger.accounts for entry in account.quarantined)
        raise InputError(
            f"not one of {len(work_list)} pictures could be used (the first, {first.path}: {first.reason}): "
            "nothing was written; check the source"
        )
    return merger


def _work_list(
    sources: Sequence[Source], labels: Sequence[Labels], merger: Merger
) -> Iterator[tuple[SourceAccount, LabelledPicture]]:
    for source, found in zip(sources, labels, strict=True):
        account = merger.begin(source, found)
        yield from ((account, picture) for picture in found.pictures)


def _write_all(new: Path, merger: Merger, notes: Sequence[str], name: str) -> DatasetInfo:
    pictures = sorted(merger.pictures.values(), key=lambda picture: picture.image_id)
    folder = new / "dataset"
    info = write_dataset(
        folder,
        pictures,
        name=name,
        parents=[account.digest for account in merger.accounts],
        details={"sources": [_account_json(account) for account in merger.accounts], "notes": list(notes)},
    )
    for path in folder.iterdir():
        path.rename(new / path.name)
    folder.rmdir()
    quarantined = [entry for account in merger.accounts for entry in account.quarantined]
    write_quarantine(new / QUARANTINE_FILE, quarantined)
    hashes = [merger.hashes[picture.image_id] for picture in pictures]
    write_fingerprints(new, [picture.image_id for picture in pictures], hashes)
    write_card(new / CARD_FILE, info, pictures, hashes, merger.accounts, notes)
    return info


def _account_json(account: SourceAccount) -> dict[str, Any]:
    """What `dataset.json` records of a source."""
    return {
        "name": account.source.name,
        "uri": account.source.uri,
        "format": account.labels.format,
        "digest": account.digest,
        "pictures": len(account.pictures),
        "quarantined": len(account.quarantined),
        "repeated_same_labels": account.repeated_same,
        "repeated_other_labels": account.repeated_other,
        "clipped_boxes": account.clipped_boxes,
        "refused_boxes": dict(sorted(account.refused_boxes.items())),
        "dropped_classes": dict(sorted(account.labels.dropped.items())),
        "ignored_classes": dict(sorted(account.labels.ignored.items())),
        "warnings": [account.source.in_users_words(warning) for warning in account.labels.warnings],
    }
