"""`belisha run`: the whole training pipeline on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from belisha.cli.output import print_json, print_sentence, progress_sink

_EXAMPLES = """
Examples:

    belisha run --data pictures/ --weights yolov8n.pt --workdir run1

    belisha run --data s3://bucket/train.zip --data night/ --map cyclist=ignore --workdir run2 --set train_epochs=80

    belisha run --data "synthetic://streets?pictures=300&seed=7" --workdir run3 --epochs 8 --image-size 320

The same command again goes on where a killed run stopped. Exit codes: 0 the candidate passed, 1 it failed, 3 inconclusive,
2 bad input, 70 a step failed, 75 try again.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="run", epilog=_EXAMPLES)(_run)


def _run(
    data: Annotated[
        list[str], typer.Option(help="Labelled pictures: folder, archive or URI; may be given several times.")
    ],
    workdir: Annotated[Path, typer.Option(help="Where everything of this run is kept.")],
    weights: Annotated[str, typer.Option(help="Weights to start from; without it training starts from scratch.")] = "",
    storage: Annotated[
        str,
        typer.Option(
            help="Where pictures, models and the ledger live; by default below --workdir.", envvar="BELISHA_STORAGE_URI"
        ),
    ] = "",
    data_format: Annotated[
        str, typer.Option("--format", help="Force the label format; without it each source is recognised.")
    ] = "",
    images: Annotated[str, typer.Option(help="Where the pictures lie when they are not beside the labels.")] = "",
    class_map: Annotated[list[str] | None, typer.Option("--map", help="CLASS=pedestrian, ignore or drop.")] = None,
    split: Annotated[str, typer.Option(help="Shares of train/val/test in percent.")] = "80/10/10",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training part at most; 0 takes the weights as they are.", min=0)
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the network's input in pixels.", min=32)] = None,
    batch: Annotated[int | None, typer.Option(help="Pictures a step.", min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Initial learning rate.", min=0.0)] = None,
    seed: Annotated[int, typer.Option(help="Same seed, data and machine give the same weights.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any other parameter of the pipeline as NAME=VALUE.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line for programs.")] = False,
) -> None:
    """Acquire, split, train, validate, compare and release on this machine, by the compiled pipeline that KFP runs."""
    from belisha.components.acquire.class_map import parse_rules
    from belisha.pipelines.arguments import absolute_source, pipeline_arguments
    from belisha.pipelines.local_run import run_locally
    from belisha.pipelines.run_report import write_run_report
    from belisha.pipelines.run_summary import summarise

    given: dict[str, Any] = {
        "data_sources": [absolute_source(source) for source in data],
        "data_format": data_format,
        "data_images_dir": absolute_source(images) if images else "",
        "data_class_map": parse_rules(class_map or []),
        "storage_uri": absolute_source(storage or str(workdir / "storage")),
        "split_ratios": split,
        "train_weights_uri": absolute_source(weights) if weights else "",
        "train_epochs": epochs,
        "train_image_size": image_size,
        "train_batch": batch,
        "train_learning_rate": learning_rate,
        "train_seed": seed,
    }
    arguments = pipeline_arguments(given, settings or [])
    with progress_sink() as progress:
        folder = run_locally(workdir, arguments, progress)
    summary = summarise(folder)
    report = workdir / "report.html"
    write_run_report(report, [folder])
    if json:
        print_json({**summary.to_json(), "report": str(report)})
    else:
        print_sentence(summary.text)
        print_sentence(f"report: {report}")
    raise typer.Exit(summary.verdict.exit_code)
