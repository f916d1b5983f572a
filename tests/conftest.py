"""Fixtures every test may use."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a property: no example has a time limit.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

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


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A real S3-compatible server, a process of its own on loopback."""
    script = Path(__file__).with_name("s3_server.py")
    server = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def s3_uri(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a fresh bucket; the environment gives access to it, for child processes too."""
    settings = {
        "ENDPOINT_URL": s3_endpoint,
        "ACCESS_KEY_ID": "test",
        "SECRET_ACCESS_KEY": "test",
        "REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    urllib.request.urlopen(urllib.request.Request(f"{s3_endpoint}/{bucket}", method="PUT")).close()
    return f"s3://{bucket}"
