"""Every alert has a page that says what to do, in commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from belisha.cli import main as command_line
from belisha.monitoring.generate import FOLDER
from tests.monitoring.promtool import alert_names

PAGES = sorted((FOLDER / "runbooks").glob("*.md"))
SECTIONS = ("Meaning", "Impact", "Check", "Fix", "Silence")


@pytest.fixture(scope="module")
def belisha() -> Any:
    command_line._register_verbs()
    return typer.main.get_command(command_line.app)


def commands(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def test_there_is_one_page_for_each_alert_and_no_other() -> None:
    assert [page.stem for page in PAGES] == alert_names()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_has_every_section_with_something_in_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem}\n")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    assert tuple(parts[1::2]) == SECTIONS
    bodies = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert all(len(body.strip()) > 20 for body in bodies.values())
    assert commands(bodies["Check"]), "how to check is a command"
    assert f"alertname={page.stem} " in bodies["Silence"]
    assert "amtool silence add" in bodies["Silence"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_ours_exists_with_its_options(page: Path, belisha: Any) -> None:
    for line in commands(page.read_text(encoding="utf-8")):
        words = shlex.split(line.split(" | ")[0])
        if words[0] == "belisha":
            check(belisha, words[1:], line)
        elif words[:2] == ["kubectl", "belisha"]:
            assert f"{words[2]}.py" in {path.name for path in (FOLDER.parent / "belisha/kubectl/verbs").iterdir()}, line


def check(command: Any, words: list[str], line: str) -> None:
    """Walk down to the verb, then look at its options."""
    while hasattr(command, "commands"):
        assert words, line
        assert words[0] in command.commands, f"{line}: there is no {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        assert not word.startswith("--") or word in known, f"{line}: there is no option {word}"
