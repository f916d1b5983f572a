"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REAL_DATA = Path(os.environ.get("BELISHA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def real_data_folder() -> Path:
    """The folder of real pictures; tests that need it are skipped where it is missing, but never in CI."""
    if _REAL_DATA.is_dir():
        return _REAL_DATA
    message = f"the real pictures are missing: expected {_REAL_DATA}, or set BELISHA_TEST_DATA"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def real_data() -> Path:
    return real_data_folder()


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests changes what they test."""
    for name in [name for name in os.environ if name.startswith("BELISHA_") and name != "BELISHA_TEST_DATA"]:
        monkeypatch.delenv(name)
