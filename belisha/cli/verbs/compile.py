"""`belisha compile`: the training pipeline as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from belisha.cli.output import print_json, print_sentence

_EXAMPLES = """
Examples:

    belisha compile --out training.yaml

    BELISHA_IMAGE_PREFIX=registry.example/ml BELISHA_IMAGE_TAG=1.4.0 belisha compile --out training.yaml
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="compile", epilog=_EXAMPLES)(_compile)


def _compile(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("training.yaml"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line for programs.")] = False,
) -> None:
    """Write the training pipeline's YAML, ready to upload to KFP.

    Container images come from one table: BELISHA_IMAGE_PREFIX and BELISHA_IMAGE_TAG change registry and tag.
    """
    from belisha.pipelines.compiling import compile_training

    compile_training(out)
    if json:
        print_json({"path": str(out)})
    else:
        print_sentence(f"wrote {out}; upload it in the KFP UI, or run the same pipeline here with `belisha run`")
