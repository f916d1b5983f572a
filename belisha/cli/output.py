"""What every verb shares: printers for people and programs, and errors as one sentence with an exit code."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from belisha.components.shared.progress import ProgressEvent, ProgressSink, default_sink

# A pipe has no width: a table must not be broken at 80 columns there.
_PIPE_COLUMNS = 200

console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
error_console = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on one line of standard output, for programs."""
    sys.stdout.write(json.dumps(value, allow_nan=False) + "\n")
    sys.stdout.flush()


def print_sentence(sentence: str) -> None:
    """A finding for people, on standard error so that standard output stays machine-readable."""
    error_console.print(sentence, markup=False, soft_wrap=True)


@contextlib.contextmanager
def progress_sink() -> Iterator[ProgressSink]:
    """Bars on a terminal, plain lines elsewhere; whoever stops the work is told that it can go on."""
    try:
        with _bars_or_lines() as sink:
            yield sink
    except KeyboardInterrupt:
        print_sentence("belisha: stopped; run the same command again to go on where it was")
        raise


@contextlib.contextmanager
def _bars_or_lines() -> Iterator[ProgressSink]:
    if not error_console.is_terminal:
        yield default_sink()
        return
    columns = (
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=error_console) as bars:
        yield _bar_sink(bars)


def _bar_sink(bars: Progress) -> ProgressSink:
    tasks: dict[str, TaskID] = {}

    def show(event: ProgressEvent) -> None:
        if event.step not in tasks:
            tasks[event.step] = bars.add_task(event.step, total=event.total, note=event.note)
        bars.update(tasks[event.step], completed=event.done, total=event.total, note=event.note)

    return show
