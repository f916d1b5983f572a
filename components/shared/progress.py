"""Progress of slow steps as events, so that a terminal, a log file and a pipeline can each show them their own way.

A step that runs inside a pipeline finds BELISHA_PROGRESS_FILE in its environment and appends events there; whoever started
the pipeline follows that file. Elsewhere events become plain lines on standard error, or bars where the command line
installs them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO, TypeVar

PROGRESS_FILE_VARIABLE = "BELISHA_PROGRESS_FILE"
_SECONDS_BETWEEN_LINES = 2.0
_SECONDS_BETWEEN_EVENTS = 0.1

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far a step is.

    Attributes:
        step: what is being done, e.g. `train`.
        done: units finished.
        total: units in all; None when unknown.
        unit: what is counted, e.g. `pictures`.
        note: anything a person should read now, e.g. the last loss.
    """

    step: str
    done: int
    total: int | None
    unit: str
    note: str = ""

    @property
    def finished(self) -> bool:
        """Whether this is the last event of its step."""
        return self.total is not None and self.done >= self.total


ProgressSink = Callable[[ProgressEvent], None]


def silent(event: ProgressEvent) -> None:
    """A sink that shows nothing."""


def default_sink() -> ProgressSink:
    """The pipeline's event file when there is one, else plain lines on standard error."""
    path = os.environ.get(PROGRESS_FILE_VARIABLE)
    return file_sink(Path(path)) if path else plain_sink(sys.stderr)


def file_sink(path: Path) -> ProgressSink:
    """Append one JSON line an event; a short append is atomic, so several processes may share the file."""

    def write(event: ProgressEvent) -> None:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(event)) + "\n")

    return write


def plain_sink(stream: TextIO) -> ProgressSink:
    """One line every two seconds at most, and always the last event and those with a new note."""
    last: dict[str, tuple[float, str]] = {}

    def write(event: ProgressEvent) -> None:
        at, note = last.get(event.step, (0.0, ""))
        now = time.monotonic()
        if now - at < _SECONDS_BETWEEN_LINES and not event.finished and event.note == note:
            return
        last[event.step] = (now, event.note)
        print(line_of(event), file=stream, flush=True)

    return write


def line_of(event: ProgressEvent) -> str:
    """An event as one line for people."""
    share = f" ({100 * event.done // event.total} %)" if event.total else ""
    total = f"/{event.total}" if event.total is not None else ""
    note = f"  {event.note}" if event.note else ""
    return f"{event.step}: {event.done}{total} {event.unit}{share}{note}"


def read_events(path: Path, offset: int) -> tuple[list[ProgressEvent], int]:
    """Events appended to `path` since byte `offset`, and the offset to go on from; a half-written line waits."""
    if not path.exists():
        return [], offset
    with path.open("rb") as stream:
        stream.seek(offset)
        data = stream.read()
    whole = data[: data.rfind(b"\n") + 1]
    return [ProgressEvent(**json.loads(line)) for line in whole.splitlines()], offset + len(whole)


def tracked(
    items: Iterable[Item], sink: ProgressSink, *, step: str, unit: str, total: int | None = None
) -> Iterator[Item]:
    """Yield items and report after each, ten times a second at most, and at the end."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    done, last = 0, 0.0
    sink(ProgressEvent(step, 0, total, unit))
    for item in items:
        yield item
        done += 1
        if time.monotonic() - last >= _SECONDS_BETWEEN_EVENTS and done != total:
            last = time.monotonic()
            sink(ProgressEvent(step, done, total, unit))
    sink(ProgressEvent(step, done, done, unit))
