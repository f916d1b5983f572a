"""`belisha evaluate`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from belisha.cli.output import console, print_json

_HELP = """Evaluate anybody's detections against ground truth, both COCO JSON.

Prints AP50 and AP50-95 as COCO and the log-average miss rate MR⁻² as CityPersons compute them, as ratios (MR⁻²: lower is
better). Annotations with `ignore` or `iscrowd` are regions where detections count neither as right nor as wrong;
`vis_ratio` and `height` of an annotation decide the subsets reasonable, small, heavy and all. MR⁻² needs 100 pictures.

Heights are scaled to pictures 1024 pixels high, for which the subsets were defined; `--heights pixels` takes them as they are.

Exit codes: 0 done, 2 a file or an option is wrong, 3 there is no box to evaluate on.

Examples:

  belisha evaluate --truth val_gt.json --detections detections.json

  belisha evaluate --truth instances.json --category person --detections dets.json --detection-category 0 --json
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command(help=_HELP)
    def evaluate(
        truth: Annotated[Path, typer.Option(help="COCO ground truth: images, annotations, categories.")],
        detections: Annotated[Path, typer.Option(help="COCO results: a list, or an object with annotations.")],
        category: Annotated[
            str | None,
            typer.Option(help="Category name in the ground truth; default pedestrian or person, or the only one."),
        ] = None,
        detection_category: Annotated[
            str | None, typer.Option(help="Category id or name in the detections, where it is another one.")
        ] = None,
        heights: Annotated[
            str, typer.Option(help="How heights meet the subsets: picture (scaled) or pixels.")
        ] = "picture",
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    ) -> None:
        result = _evaluate(truth, detections, category, detection_category, heights)
        if as_json:
            print_json(result)
        else:
            _print_table(result)


def _evaluate(
    truth_path: Path, detections_path: Path, category: str | None, detection_category: str | None, heights: str
) -> dict[str, Any]:
    from belisha.components.shared.errors import InputError
    from belisha.components.shared.evaluation import HeightScale, evaluate
    from belisha.components.shared.evaluation.coco_files import read_detections, read_truth

    if heights not in {scale.value for scale in HeightScale}:
        raise InputError(f"expected --heights picture or pixels, got {heights}")
    truth = read_truth(truth_path, category)
    found = read_detections(detections_path, truth, detection_category)
    scale, notes = HeightScale(heights), list(found.notes)
    if scale is HeightScale.PICTURE and not truth.has_heights:
        scale = HeightScale.PIXELS
        notes.append("pictures without a height: heights of boxes could not be scaled")
    summary = evaluate(truth.labels, found.detections, height_scale=scale)
    summary = dataclasses.replace(summary, notes=(*summary.notes, *notes))
    best = _best_f1(truth.labels, found.detections)
    return {**summary.to_json(), "category": truth.category, "best_f1": best}


def _best_f1(labels: Any, detections: Any) -> dict[str, Any] | None:
    from belisha.components.shared.errors import NoDataError
    from belisha.components.shared.evaluation import best_f1_threshold, precision_recall_at

    try:
        score = best_f1_threshold(labels, detections)
    except NoDataError:
        return None
    return dataclasses.asdict(precision_recall_at(labels, detections, score))


def _print_table(result: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("figure", "value", title=f"{result['category'] or 'one category'}, {result['images']} pictures")
    for name in ("pedestrians", "ignored", "detections"):
        table.add_row(name, str(result[name]))
    for name, label in (("ap50", "AP50"), ("ap50_95", "AP50-95"), ("average_recall", "average recall")):
        table.add_row(label, f"{result[name]:.4f}")
    for subset, value in result["mr2"].items():
        table.add_row(f"MR⁻² {subset} (lower is better)", "–" if value is None else f"{value:.4f}")
    if result["miss_rate_at_fppi_01"] is not None:
        table.add_row("miss rate at 0.1 false positives a picture", f"{result['miss_rate_at_fppi_01']:.4f}")
    best = result["best_f1"]
    if best is not None:
        detail = f"{best['f1']:.4f} (precision {best['precision']:.4f}, recall {best['recall']:.4f})"
        table.add_row(f"best F1, at score {best['score']:.4g}", detail)
    console.print(table)
    for note in result["notes"]:
        console.print(note, markup=False)
