"""A throw-away environment with MLServer, made below `build/` when the benchmark first asks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]
# Newer uvloop leaves the processes of MLServer 1.7 without an event loop.
_PACKAGES = (
    "mlserver>=1.7,<2",
    "onnxruntime",
    "opencv-python-headless<5",
    "pillow",
    "pyarrow",
    "jinja2",
    "defusedxml",
    "setuptools>=77,<81",
)


def prepare(folder: Path) -> tuple[Path | None, str]:
    """Its interpreter, or None and the reason when it cannot be made here."""
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    if ready.exists():
        return python, ""
    uv = (
        subprocess.run(
            ["bash", _ROOT / "scripts" / "find_uv.sh"], check=False, capture_output=True, text=True
        ).stdout.strip()
        or "uv"
    )
    commands = (
        [uv, "venv", "--clear", "--python", sys.executable, folder],
        [uv, "pip", "install", "--quiet", "--python", python, *_PACKAGES],
        [uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "--no-build-isolation", "--editable", _ROOT],
    )
    for command in commands:
        done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True, timeout=600)
        if done.returncode:
            return None, (done.stderr.strip().splitlines() or ["it could not be installed"])[-1]
    ready.touch()
    return python, ""
