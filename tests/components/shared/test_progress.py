from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.shared import progress
from belisha.components.shared.progress import (
    PROGRESS_FILE_VARIABLE,
    ProgressEvent,
    default_sink,
    file_sink,
    line_of,
    plain_sink,
    read_events,
    silent,
    tracked,
)

events = st.builds(
    ProgressEvent,
    step=st.text(max_size=20),
    done=st.integers(0, 10**9),
    total=st.none() | st.integers(0, 10**9),
    unit=st.text(max_size=10),
    note=st.text(max_size=30),
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("event", "line"),
    [
        pytest.param(
            ProgressEvent("train", 3, 12, "epochs", "loss 0.5"), "train: 3/12 epochs (25 %)  loss 0.5", id="all"
        ),
        pytest.param(ProgressEvent("read", 7, None, "files"), "read: 7 files", id="total unknown"),
        pytest.param(ProgressEvent("read", 0, 0, "files"), "read: 0/0 files", id="nothing to do"),
        pytest.param(ProgressEvent("read", 5, 5, "files"), "read: 5/5 files (100 %)", id="done"),
    ],
)
def test_an_event_as_a_line(event: ProgressEvent, line: str) -> None:
    assert line_of(event) == line


def test_plain_lines_come_every_two_seconds_with_the_last_and_with_notes(clock: list[float]) -> None:
    stream = io.StringIO()
    sink = plain_sink(stream)
    for at, done, note in [(0, 0, ""), (1, 1, ""), (1.5, 2, "new"), (1.6, 3, "new"), (4, 4, "new"), (4.1, 5, "new")]:
        clock[0] = 100.0 + at
        sink(ProgressEvent("x", done, 5, "u", note))
    assert [line.split("/")[0] for line in stream.getvalue().splitlines()] == ["x: 0", "x: 2", "x: 4", "x: 5"]


def test_steps_do_not_silence_each_other(clock: list[float]) -> None:
    stream = io.StringIO()
    sink = plain_sink(stream)
    for step in ("a", "b", "a"):
        sink(ProgressEvent(step, 1, 9, "u"))
    assert stream.getvalue().splitlines() == ["a: 1/9 u (11 %)", "b: 1/9 u (11 %)"]


@given(st.lists(events, max_size=20), st.integers(0, 400))
def test_a_file_gives_back_what_was_written_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, written: list[ProgressEvent], cut: int
) -> None:
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    sink = file_sink(path)
    for event in written:
        sink(event)
    data = path.read_bytes() if written else b""
    half = path.with_name("half.jsonl")
    half.write_bytes(data[:cut])
    first, offset = read_events(half, 0)
    half.write_bytes(data)
    rest, end = read_events(half, offset)
    assert [*first, *rest] == written
    assert end == len(data)


def test_a_file_that_is_not_there_yet_has_no_events(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none", 0) == ([], 0)


def test_writers_at_the_same_time_lose_no_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    def write(name: str) -> None:
        sink = file_sink(path)
        for done in range(200):
            sink(ProgressEvent(name, done, 200, "u"))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found, _ = read_events(path, 0)
    assert sorted((event.step, event.done) for event in found) == [(n, d) for n in "abcd" for d in range(200)]


def test_the_default_sink_is_the_file_that_the_pipeline_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    default_sink()(ProgressEvent("x", 1, 1, "u"))
    assert capsys.readouterr().err == "x: 1/1 u (100 %)\n"
    monkeypatch.setenv(PROGRESS_FILE_VARIABLE, str(tmp_path / "events"))
    default_sink()(ProgressEvent("x", 1, 1, "u"))
    assert json.loads((tmp_path / "events").read_text())["step"] == "x"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("items", "total"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([1], 1, id="one"),
        pytest.param([1, 2, 3], 3, id="several"),
        pytest.param(iter([1, 2, 3]), None, id="length unknown"),
    ],
)
def test_tracked_passes_items_on_and_ends_with_a_finished_event(items: object, total: int | None) -> None:
    seen: list[ProgressEvent] = []
    passed = list(tracked(items, seen.append, step="s", unit="u"))  # type: ignore[call-overload]
    assert passed == [1, 2, 3][: len(passed)]
    assert seen[0] == ProgressEvent("s", 0, total, "u")
    assert seen[-1] == ProgressEvent("s", len(passed), len(passed), "u")
    assert seen[-1].finished


def test_tracked_reports_ten_times_a_second_at_most(clock: list[float]) -> None:
    seen: list[ProgressEvent] = []
    for _ in tracked(range(100), seen.append, step="s", unit="u"):
        clock[0] += 0.0625
    assert 51 <= len(seen) <= 53


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    silent(ProgressEvent("x", 1, 1, "u"))
    assert capsys.readouterr() == ("", "")
