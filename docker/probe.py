"""Runs inside an image, by its own Python: SHELL and TRAIN say what it should have."""

import importlib.util
import os
from pathlib import Path


def check(name: str, *, found: object, wanted: object) -> None:
    """End with a sentence when something is not as it should be."""
    if found != wanted:
        raise SystemExit(f"{name}: found {found}, expected {wanted}")


def has(module: str) -> bool:
    """Whether a module could be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def is_writable(folder: str) -> bool:
    """Whether a file can be made there."""
    try:
        (Path(folder) / ".probe").write_text("")
    except OSError:
        return False
    return True


train = os.environ["TRAIN"] == "True"
check("user and group", found=(os.getuid(), os.getgid()), wanted=(8888, 8888))
check(
    "writable root",
    found=[folder for folder in ("/", "/opt/belisha", "/usr", "/etc") if is_writable(folder)],
    wanted=[],
)
check("writable /tmp", found=is_writable("/tmp"), wanted=True)
check("shell", found=Path("/bin/sh").exists(), wanted=os.environ["SHELL"] == "True")
check("compiler", found=[name for name in ("gcc", "cc", "g++", "clang") if Path("/usr/bin", name).exists()], wanted=[])
check("pip", found=has("pip") or has("ensurepip"), wanted=False)
check("ultralytics", found=has("ultralytics"), wanted=train)
check("code under AGPL-3.0", found=has("belisha.components.train"), wanted=train)
