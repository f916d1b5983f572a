"""Run every `bench_*.py` beside this file, or those named, and print one table; exit code 1 when a bound does not hold."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.table import BenchRow


def main(names: list[str]) -> int:
    """Run the named benchmarks (all by default) and print their rows."""
    known = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    unknown = set(names) - set(known)
    if unknown:
        print(f"no benchmark is called {', '.join(sorted(unknown))}; known are {', '.join(known)}", file=sys.stderr)
        return 2
    rows: list[BenchRow] = []
    for name in names or known:
        print(f"bench: {name} …", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"bench.bench_{name}").run()
    _print(rows)
    return 0 if all(row.held for row in rows) else 1


def _print(rows: list[BenchRow]) -> None:
    table = Table("measured", "value", "bound", "held", "detail")
    for row in rows:
        sign = ">=" if row.at_least else "<="
        table.add_row(row.name, f"{row.value:.3f}", f"{sign} {row.bound:g}", "yes" if row.held else "NO", row.detail)
    Console(width=160).print(table)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
