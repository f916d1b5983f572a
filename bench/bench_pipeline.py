"""What the local pipeline adds to its steps: `belisha run` against the same steps started one after another by hand."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.table import BenchRow

BELISHA = Path(sys.executable).with_name("belisha")
STREETS = "synthetic://streets?pictures=200&seed=3&pedestrians=4-9"
EPOCHS = 4


def run() -> list[BenchRow]:
    """One row; the two ways do the same work on the same data, each from nothing."""
    with tempfile.TemporaryDirectory(prefix="belisha-bench-") as folder:
        by_hand = _seconds(_steps(Path(folder) / "steps"))
        as_pipeline = _seconds([_pipeline(Path(folder) / "run")])
    return [
        BenchRow(
            name="local pipeline / its steps by hand",
            value=as_pipeline / by_hand,
            bound=1.05,
            at_least=False,
            detail=f"200 pictures, {EPOCHS} epochs: {as_pipeline:.1f} s, {by_hand:.1f} s",
        )
    ]


def _seconds(commands: list[list[str]]) -> float:
    """Wall seconds of commands one after another; a verdict that is no PASS is no failure here."""
    begin = time.perf_counter()
    for command in commands:
        found = subprocess.run([str(BELISHA), *command], capture_output=True, text=True, check=False)
        if found.returncode not in (0, 1, 3):
            raise RuntimeError(f"belisha {command[0]} ended with {found.returncode}: {found.stderr[-400:]}")
    return time.perf_counter() - begin


def _pipeline(folder: Path) -> list[str]:
    sizes = ["--epochs", str(EPOCHS), "--image-size", "320", "--batch", "8", "--learning-rate", "0.01"]
    small = ["--set", "train_architecture=street-pico.yaml", "--set", "train_workers=0"]
    return ["run", "--data", STREETS, "--workdir", str(folder), *sizes, *small]


def _steps(folder: Path) -> list[list[str]]:
    names = ("data", "split", "baseline", "model", "evaluation", "decision")
    data, split, baseline, model, evaluation, decision = (str(folder / name) for name in names)
    store = ["--storage", str(folder / "store")]
    sizes = ["--epochs", str(EPOCHS), "--image-size", "320", "--batch", "8", "--learning-rate", "0.01"]
    run_id = ["--run-id", "bench"]
    return [
        ["acquire", STREETS, "--out", data, *store],
        ["split-data", data, "--out", split, *store],
        ["baseline", data, split, "--out", baseline, *store, *run_id],
        ["train", data, split, "--out", model, *store, *sizes, "--architecture", "street-pico.yaml", "--workers", "0"],
        ["validate", data, split, model, "--out", evaluation, "--baseline", baseline, *store, *run_id],
        ["compare", data, split, model, evaluation, "--out", decision, "--baseline", baseline, *store, *run_id],
        ["release", model, evaluation, decision, *store, *run_id],
    ]
