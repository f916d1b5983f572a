"""The table of environment variables: complete, documented, and the only ones that the command line lets pass."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from belisha.components.shared.environment import VARIABLES, refuse_unknown, settings_page
from belisha.components.shared.errors import InputError

ROOT = Path(__file__).parents[3]
NAMES = {variable.name for variable in VARIABLES}


def test_the_table_has_exactly_the_variables_that_the_code_speaks_of() -> None:
    sources = [path for top in ("belisha", "components", "pipelines") for path in (ROOT / top).rglob("*.py")]
    others = [path.read_text() for path in sources if path.name != "environment.py"]
    assert set(re.findall(r"\bBELISHA_[A-Z0-9_]*[A-Z0-9]", "\n".join(others))) == NAMES


def test_the_page_is_the_table() -> None:
    command = "python -m belisha.components.shared.environment > docs/settings.md"
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), f"run {command}"
    assert all(f"`{name}`" in settings_page() for name in NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "x") for name in sorted(NAMES)),
        ("BELISHA_TEST_DATA", "/data"),
        ("BELISHA_SERVICE_HOST", "10.0.0.7"),
        ("BELISHA_GATEWAY_SERVICE_PORT", "80"),
        ("BELISHA_GATEWAY_SERVICE_PORT_HTTP", "80"),
        ("BELISHA_PORT", "tcp://10.0.0.7:80"),
        ("BELISHA_GATEWAY_PORT_80_TCP", "tcp://10.0.0.7:80"),
        ("BELISHA_GATEWAY_PORT_80_TCP_ADDR", "10.0.0.7"),
        ("belisha_storage", "not ours: names are capital"),
        ("_BELISHA_COMPLETE", "complete_bash"),
        ("BELISHA", "no prefix"),
    ],
)
def test_what_is_known_or_somebody_elses_passes(name: str, value: str) -> None:
    refuse_unknown({name: value, "PATH": "/bin"})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BELISHA_STORAGE_URL", "s3://bucket", "BELISHA_STORAGE_URL.*close to BELISHA_STORAGE_URI"),
        ("BELISHA_STORAGE", "", "close to BELISHA_STORAGE_URI"),
        ("BELISHA_IMAGE_TAGS", "1", "close to BELISHA_IMAGE_TAG"),
        ("BELISHA_PORT", "8080", "no setting of belisha"),
        ("BELISHA_", "x", "no setting of belisha"),
        ("BELISHA_QQQQQQQQQQQQQQQQQQQQ", "x", "known are BELISHA_ACTOR, .*BELISHA_STORAGE_URI"),
    ],
)
def test_what_is_like_ours_and_unknown_is_refused(name: str, value: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        refuse_unknown({name: value, "BELISHA_ACTOR": "ann"})


def test_the_command_line_refuses_before_it_does_anything() -> None:
    environment = {**os.environ, "BELISHA_ACTR": "ann"}
    done = subprocess.run(
        [sys.executable, "-m", "belisha.cli.main", "version"], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "belisha: the environment sets BELISHA_ACTR, which is no setting of belisha: it is close to BELISHA_ACTOR; "
        "correct it or unset it"
    ]
