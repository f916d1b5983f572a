"""`belisha review` as operators meet it: sentences, JSON, exit codes."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from belisha.cli.verbs import review
from belisha.components.review import own_json
from belisha.components.shared.errors import InputError, NoDataError
from belisha.components.shared.review_queue import Vote
from tests.components.review.queue_world import World, small_world

WINDOW = ("--since", "2026-05-01T12:00", "--until", "2026-05-01T18:00")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return small_world(tmp_path / "storage", pictures=3)


def belisha(*arguments: str) -> tuple[int, Any, str]:
    """Exit code, parsed JSON (None without) and everything that was printed."""
    import typer

    app = typer.Typer()
    app.callback()(lambda: None)
    review.register(app)
    done = CliRunner().invoke(app, ["review", *arguments], catch_exceptions=True)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return done.exit_code, json.loads(lines[0]) if lines else None, done.output


def test_a_round_from_selection_to_report(world: World, tmp_path: Path) -> None:
    code, selected, _ = belisha(
        "select", "--storage", world.uri, *WINDOW, "--pictures", "2", "--cause", "night", "--json"
    )
    assert (code, selected["new"], selected["pictures"], selected["waiting"]) == (0, True, 2, 2)
    code, again, _ = belisha("select", "--storage", world.uri, *WINDOW, "--pictures", "2", "--cause", "night", "--json")
    assert (code, again["new"], again["batch"]) == (0, False, selected["batch"])

    for name in ("label-studio", "cvat", "json"):
        out = tmp_path / name
        code, exported, _ = belisha("export", "--storage", world.uri, "--out", str(out), "--format", name, "--json")
        assert (code, exported["pictures"]) == (0, 2)
        assert all((out / file).is_file() for file in exported["files"])

    code, status, _ = belisha("status", "--storage", world.uri, "--json")
    assert (code, status["waiting"], status["batches"][0]["cause"]) == (0, 2, "night")

    tasks = json.loads((tmp_path / "json" / "tasks.json").read_text())["pictures"]
    votes = [Vote(task["picture_id"], "ada", world.truth[task["picture_id"]]) for task in tasks]
    pictures = [own_json.answers_of(vote)["pictures"][0] for vote in votes]
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"schema": own_json.ANSWERS_SCHEMA, "annotator": "ada", "pictures": pictures}))
    report = tmp_path / "report.html"
    code, found, _ = belisha("import", str(answers), "--storage", world.uri, "--report", str(report), "--json")
    assert (code, found["reviewed"], found["waiting"], found["methods"]["one annotator"]) == (0, 2, 0, 2)
    assert report.is_file()
    # A second person is still wanted where two are asked for.
    code, exported, _ = belisha(
        "export", "--storage", world.uri, "--out", str(tmp_path / "x"), "--people", "2", "--json"
    )
    assert exported["pictures"] == 2


def test_people_read_sentences(world: World, tmp_path: Path) -> None:
    _, _, output = belisha("select", "--storage", world.uri, *WINDOW)
    assert "batch 1 hands out 3 of 3 kept pictures: 3 uncertain" in output
    _, _, output = belisha("status", "--storage", world.uri)
    assert "3 pictures wait since" in output


def test_nothing_to_hand_out_is_inconclusive_and_no_failure_of_a_job(tmp_path: Path) -> None:
    code, found, _ = belisha("select", "--storage", str(tmp_path), *WINDOW, "--json")
    assert (code, found["batch"]) == (3, None)
    assert belisha("select", "--storage", str(tmp_path), *WINDOW, "--job")[0] == 0


def test_a_job_that_runs_again_finds_its_batch(world: World) -> None:
    first = belisha("select", "--storage", world.uri, *WINDOW, "--pictures", "2", "--job", "--json")[1]
    # Only at the turn of an hour would the second have another name.
    again = belisha(
        "select", "--storage", world.uri, *WINDOW, "--pictures", "2", "--key", first["key"], "--job", "--json"
    )[1]
    assert first["key"].startswith("job-belisha-20")
    assert (again["batch"], again["new"]) == (1, False)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("select", "--shares", "1/2"), InputError, "UNCERTAIN/DISAGREEMENT/DRIFTED/UNIFORM"),
        (("select", "--shares", "50/20/15/16"), InputError, "sum to 1"),
        (("select", "--since", "yesterday"), InputError, "is no moment"),
        (("select", "--since", "2026-05-02", "--until", "2026-05-01"), InputError, "holds no time"),
        (("export", "--out", "x", "--format", "yolo"), InputError, "label-studio, cvat, json"),
        (("export", "--out", "x", "--batch", "7"), InputError, "there is no batch 7"),
        (("export", "--out", "x"), NoDataError, "select"),
        (("import", "--page"), NoDataError, "select"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        belisha(*arguments, "--storage", str(tmp_path / "storage"))


def test_the_server_says_where_it_is_and_ends_politely(world: World) -> None:
    belisha("select", "--storage", world.uri, *WINDOW)
    command = [
        sys.executable,
        "-m",
        "belisha.cli.main",
        "review",
        "serve",
        "--storage",
        world.uri,
        "--port",
        "0",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = urlsplit(json.loads(process.stdout.readline())["url"])
        connection = http.client.HTTPConnection(str(address.hostname), int(address.port or 0), timeout=30)
        connection.request("GET", "/api/v1/queue?annotator=ada")
        assert len(json.loads(connection.getresponse().read())["pictures"]) == 3
        connection.close()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "review import --page" in errors
