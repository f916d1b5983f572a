"""Environments below `build/` for what is only measured against, made when a benchmark first asks for one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def prepare(folder: Path, packages: Sequence[str], *, with_belisha: bool = False) -> tuple[Path | None, str]:
    """The interpreter of an environment with these packages, or None and the reason when it cannot be made here."""
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    if ready.exists():
        return python, ""
    found = subprocess.run(["bash", _ROOT / "scripts/find_uv.sh"], check=False, capture_output=True, text=True)
    uv = found.stdout.strip() or "uv"
    install = [uv, "pip", "install", "--quiet", "--python", python]
    commands: list[list[object]] = [[uv, "venv", "--clear", "--python", sys.executable, folder], [*install, *packages]]
    if with_belisha:
        commands.append([*install, "--no-deps", "--no-build-isolation", "--editable", _ROOT])
    for command in commands:
        done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True, timeout=600)
        if done.returncode:
            return None, (done.stderr.strip().splitlines() or ["it could not be installed"])[-1]
    ready.touch()
    return python, ""
