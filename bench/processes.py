"""What serving is measured against and with, as processes that end when their standard input does."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from belisha.serving.environment import serve_python
from bench.http_load import Round


@contextlib.contextmanager
def bare_loop(model: Path, pictures: Sequence[Path], runtime: str, workers: int) -> Iterator[Round]:
    """The detector alone: as many pictures as asked, `workers` at a time, in the predictors' environment."""
    script = Path(__file__).with_name("serve_loop.py")
    with piped([serve_python(), script, model, runtime, str(workers), *pictures]) as (stdin, stdout):

        def one_round(count: int) -> float:
            print(count, file=stdin, flush=True)
            return float(stdout.readline())

        yield one_round


@contextlib.contextmanager
def piped(command: Sequence[str | Path]) -> Iterator[tuple[IO[str], IO[str]]]:
    """A process with its standard input and output."""
    with subprocess.Popen(list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdin, process.stdout
        process.stdin.close()
