"""Where the predictors' own Python environment is."""

from __future__ import annotations

import sys
from pathlib import Path

from belisha.components.shared.errors import InputError

_FOLDER = ".venv-serve"


def serve_python(given: Path | None = None) -> Path:
    """The interpreter that predictors run on: the one given, or that of `.venv-serve` beside this environment.

    Raises:
        InputError: there is none.
    """
    if given is not None:
        if not given.is_file():
            raise InputError(f"there is no Python at {given}: give the python of the predictors' environment")
        return given.absolute()
    beside = [Path(sys.prefix).parent, Path(__file__).resolve().parents[2], Path.cwd()]
    for folder in beside:
        python = folder / _FOLDER / "bin" / "python"
        if python.is_file():
            return python.absolute()
    raise InputError(f"the predictors' environment {_FOLDER} is missing: run `make setup`, or give --serve-python")
