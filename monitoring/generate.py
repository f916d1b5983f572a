"""Write what is generated: `python -m belisha.monitoring.generate` after a change to rules or dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from belisha.monitoring.dashboards.document import dashboards
from belisha.monitoring.rules.document import rules_text

FOLDER = Path(__file__).resolve().parent


def generated() -> Mapping[str, str]:
    """Text of every generated file, by its path below `monitoring/`."""
    of_dashboards = {f"dashboards/{name}.json": text for name, text in dashboards().items()}
    return {"rules/belisha.rules.yaml": rules_text(), **of_dashboards}


def main() -> None:
    """Write them all."""
    for name, text in generated().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
