"""The dataset folder while it is being made: one writer at a time, a working folder inside, files put in place at the end.

`DIR` may hold the picture store beside the dataset's files (`DIR/pictures`), so it is never replaced as a whole. New files
are made in `DIR/.acquire` and renamed into place one by one, `dataset.json` last and its predecessor removed first: a reader
sees the old dataset, none, or the new one, never a mixture.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from belisha.components.shared.errors import InputError, StorageError
from belisha.components.shared.manifest import DATASET_FILE

WORK_FOLDER = ".acquire"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a run works.

    Attributes:
        fetched: what was downloaded, unpacked or generated; removed at the end.
        journal: survives a kill, so that the next run goes on there; removed when the dataset stands.
        new: the dataset's files before they are put in place.
    """

    fetched: Path
    journal: Path
    new: Path


@contextlib.contextmanager
def workspace(dataset_dir: Path) -> Iterator[Workspace]:
    """Lock `dataset_dir` and yield its working folder.

    What was fetched is always removed. The journal is removed unless the run was killed or failed for a passing reason; a
    `dataset_dir` that did not exist before and stayed empty is removed too.

    Raises:
        InputError: somebody else is writing the same folder, or it cannot be written.
    """
    existed = dataset_dir.exists()
    _make(dataset_dir)
    with _locked(dataset_dir):
        folder = dataset_dir / WORK_FOLDER
        work = Workspace(folder / "fetched", folder / "journal.jsonl", folder / "new")
        for part in (work.fetched, work.new):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        try:
            yield work
        except (StorageError, KeyboardInterrupt):
            shutil.rmtree(work.fetched, ignore_errors=True)
            raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            if not existed:
                remove_if_empty(dataset_dir)
            raise
        shutil.rmtree(folder)


def _make(dataset_dir: Path) -> None:
    try:
        dataset_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{dataset_dir} cannot be made ({error.strerror}): choose another --out") from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system frees when the process ends in whatever way."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"another run is writing {folder}: wait for it, or choose another --out") from None
        yield
    finally:
        os.close(descriptor)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that holds nothing; leave any other."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def put_in_place(new: Path, dataset_dir: Path) -> None:
    """Move the files of `new` into `dataset_dir`, `dataset.json` last."""
    (dataset_dir / DATASET_FILE).unlink(missing_ok=True)
    for path in sorted(new.iterdir(), key=lambda path: (path.name == DATASET_FILE, path.name)):
        path.replace(dataset_dir / path.name)
