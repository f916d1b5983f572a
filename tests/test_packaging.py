"""A wheel installs only `belisha`, and installs all of it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names in a wheel built from a copy of what git tracks, so that no stray file of this folder gets in."""
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-c", _BUILD, str(out)], cwd=copy, check=True, capture_output=True)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as wheel:
        return wheel.namelist()


def test_top_level_is_belisha_alone(wheel_names: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"belisha"}


def test_every_module_and_resource_is_in_the_wheel(wheel_names: list[str]) -> None:
    expected = set()
    for folder in ("belisha", "components", "monitoring", "pipelines"):
        for path in (ROOT / folder).rglob("*"):
            if (
                path.suffix in {".py", ".html", ".css", ".js", ".json", ".yaml", ".typed"}
                and "__pycache__" not in path.parts
            ):
                inside = path.relative_to(ROOT)
                expected.add(str(inside if folder == "belisha" else Path("belisha") / inside))
    assert expected <= set(wheel_names)


def test_every_package_folder_is_listed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = set()
    for folder in ("belisha", "components", "monitoring", "pipelines"):
        for init in (ROOT / folder).rglob("__init__.py"):
            dotted = ".".join(init.parent.relative_to(ROOT).parts)
            found.add(dotted if folder == "belisha" else f"belisha.{dotted}")
    assert found == listed


def test_requirements_are_locked_with_hashes_and_without_addresses() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text, path
        if path.name != "overrides.txt":
            pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
            assert pins
            assert all("==" in line for line in pins), path
            assert text.count("--hash=sha256:") >= len(pins), path
