"""`belisha train`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer

from belisha.cli.output import print_json, print_sentence, progress_sink

_EPILOG = (
    "Examples: [bold]belisha train run1/dataset run1/split --out run1/model --storage run1/storage[/bold] trains from scratch; "
    "[bold]… --weights yolov8n.pt --epochs 30[/bold] fine-tunes; [bold]… --device 0,1 --batch 64[/bold] uses two GPUs. "
    "The same command again goes on where a killed one was, or returns at once what a finished one made."
)


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command(epilog=_EPILOG)
    def train(
        dataset: Annotated[Path, typer.Argument(help="Data set folder, as `belisha acquire` wrote it.")],
        split: Annotated[Path, typer.Argument(help="Split folder, as `belisha split-data` wrote it.")],
        out: Annotated[Path, typer.Option(help="Model folder to write; replaced as a whole.")],
        storage: Annotated[str, typer.Option(help="Storage (path or URI) that keeps checkpoints.")],
        weights: Annotated[str, typer.Option(help="Checkpoint to start from; none trains from scratch.")] = "",
        architecture: Annotated[
            str, typer.Option(help="Model description for training from scratch.")
        ] = "yolo11n.yaml",
        epochs: Annotated[int, typer.Option(help="Most epochs; 0 takes the weights as they are.")] = 30,
        image_size: Annotated[int, typer.Option(help="Side of the square input in pixels.")] = 640,
        batch: Annotated[int, typer.Option(help="Pictures a step, over all GPUs together.")] = 16,
        learning_rate: Annotated[
            Optional[float], typer.Option(help="Default 0.002 from scratch, 0.0002 from weights.")
        ] = None,
        patience: Annotated[int, typer.Option(help="Epochs without a better validation AP before stopping.")] = 10,
        seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 0,
        workers: Annotated[int, typer.Option(help="Processes that load pictures (GPU only).")] = 2,
        device: Annotated[str, typer.Option(help="Nothing for a GPU if there is one, cpu, 0, or 0,1.")] = "",
        freeze: Annotated[int, typer.Option(help="First layers that keep their weights.")] = 0,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
    ) -> None:
        """Train a detector and write it as ONNX, with a card and a report."""
        from belisha.components.train.settings import TrainSettings
        from belisha.components.train.train import train as run_training

        settings = TrainSettings(
            weights_uri=weights,
            architecture=architecture,
            epochs=epochs,
            image_size_px=image_size,
            batch=batch,
            learning_rate=learning_rate,
            patience=patience,
            seed=seed,
            workers=workers,
            device=device,
            freeze=freeze,
        )
        with progress_sink() as progress:
            summary = run_training(dataset, split, out, settings, storage, progress)
        if as_json:
            print_json(asdict(summary))
        again = "this training was finished before; " if summary.reused else ""
        print_sentence(
            f"{again}trained {summary.weights_origin}; best epoch {summary.best_epoch} of {summary.epochs}, validation AP50 "
            f"{summary.metrics['val_ap50']:.3f}; model {out}, report {out / 'report.html'}"
        )
