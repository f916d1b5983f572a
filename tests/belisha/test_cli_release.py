"""The release verbs as a user meets them: tables, JSON, sentences and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from belisha.cli import main as cli
from tests.release_folders import release_one, write_folders


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A registry with champion v1, challenger v2 and refused v3."""
    uri = str(tmp_path / "storage")
    monkeypatch.setenv("BELISHA_STORAGE_URI", uri)
    monkeypatch.setenv("BELISHA_ACTOR", "ann")
    monkeypatch.setenv("COLUMNS", "200")
    release_one(tmp_path, uri, gain=1.0)
    release_one(tmp_path, uri, gain=0.9, champion="v1")
    release_one(tmp_path, uri, gain=0.8, champion="v1", verdict="FAIL")
    return uri


def belisha(
    *arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """Run the real entry point in this process; returns exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["belisha", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda *arguments: belisha(*arguments, capsys=capsys, monkeypatch=monkeypatch)


def test_models_shows_roles_and_verdicts(storage: str, run: Any) -> None:
    code, out, _ = run("models")
    assert code == 0
    assert "champion" in out and "challenger (0.00 of traffic)" in out and "FAIL" in out and "0.7500" in out


def test_models_json_is_one_line(storage: str, run: Any) -> None:
    _, out, _ = run("models", "--json")
    value = json.loads(out)
    assert (value["champion"], value["challenger"]) == ("v1", "v2")
    assert [(row["version"], row["role"], row["verdict"]) for row in value["models"]] == [
        ("v1", "champion", "PASS"), ("v2", "challenger (0.00 of traffic)", "PASS"), ("v3", "", "FAIL"),
    ]  # fmt: skip


def test_history_tells_who_and_why(storage: str, run: Any) -> None:
    _, out, _ = run("history", "--last", "2", "--json")
    records = json.loads(out)["records"]
    assert [(record["number"], record["action"], record["actor"]) for record in records] == [
        (5, "register", "ann"), (6, "refuse", "ann"),
    ]  # fmt: skip
    assert records[-1]["state"]["champion"] == "v1"
    _, out, _ = run("history")
    assert "refuse" in out and "challenge" in out


def test_promote_and_rollback(storage: str, run: Any) -> None:
    code, _, err = run("promote", "--reason", "won [bold]the[/bold] trial")
    assert code == 0 and "v2 became champion; v1 was champion before" in err
    _, out, _ = run("history", "--last", "1", "--json")
    assert "won [bold]the[/bold] trial" in json.loads(out)["records"][0]["reason"]
    _, out, _ = run("history")
    assert "[bold]" in out
    code, out, _ = run("rollback", "--json")
    assert code == 0 and json.loads(out)["champion"] == "v1"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("promote", "v3"), "v3 did not pass its gates"),
        (("promote", "v3", "--force"), "add --reason"),
        (("promote", "v9"), "give one of v1, v2, v3"),
        (("promote", "--expect-record", "2"), "is 6, expected 2"),
        (("rollback", "--expect-record", "0"), "is 6, expected 0"),
        (("models", "--storage", "ftp://x/y"), "which is not one of"),
        (("history", "--storage", "/nowhere/at/all"), "there is no registry at /nowhere/at/all/registry"),
    ],
)
def test_refusals_are_one_sentence_and_change_nothing(
    arguments: tuple[str, ...], sentence: str, storage: str, run: Any
) -> None:
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and sentence in err and len(err.strip().splitlines()) == 1
    _, out, _ = run("history", "--json")
    assert len(json.loads(out)["records"]) == 6


@pytest.mark.parametrize(("verdict", "code", "word"), [("PASS", 0, "challenge"), ("INCONCLUSIVE", 1, "refuse")])
def test_release_says_what_became_of_it(
    verdict: str, code: int, word: str, storage: str, tmp_path: Path, run: Any
) -> None:
    folders = write_folders(tmp_path / "new", gain=0.7, champion="v1", verdict=verdict)
    options = tuple(str(folder) for folder in (folders.model, folders.evaluation, folders.decision))
    found, out, _ = run("release", *options, "--run-id", "r", "--json")
    assert found == code
    assert json.loads(out)["action"] == word and json.loads(out)["version"] == "v4"


def test_an_empty_registry_is_said_not_shown(tmp_path: Path, run: Any) -> None:
    (tmp_path / "s/registry").mkdir(parents=True)
    assert "no model is registered" in run("models", "--storage", str(tmp_path / "s"))[2]
    assert "nothing has happened" in run("history", "--storage", str(tmp_path / "s"))[2]


def test_storage_must_be_given() -> None:
    command = [sys.executable, "-m", "belisha.cli.main", "models"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "BELISHA_STORAGE_URI" in done.stderr


@pytest.mark.parametrize("verb", ["models", "history", "promote", "rollback", "release"])
def test_help_has_examples(verb: str, run: Any) -> None:
    code, out, _ = run(verb, "--help")
    assert code == 0 and "Examples" in out and f"belisha {verb}" in out
