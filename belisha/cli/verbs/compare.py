"""`belisha compare`: is the candidate better than the champion?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from belisha.cli.output import console, print_json, print_sentence, progress_sink
from belisha.cli.release_options import Json, Storage

if TYPE_CHECKING:
    from belisha.components.compare.decision import Decision

_EXAMPLES = """
Examples:

    belisha compare run1/dataset run1/split run1/model run1/evaluation --baseline run1/baseline --storage run1/storage
    --run-id run1 --out run1/decision

Exit codes: 0 PASS, 1 FAIL, 3 INCONCLUSIVE, 70 ERROR, 2 bad input, 75 try again.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="compare", epilog=_EXAMPLES)(_compare)


def _compare(
    dataset: Annotated[Path, typer.Argument(help="Data set folder.", show_default=False)],
    split: Annotated[Path, typer.Argument(help="Split folder.", show_default=False)],
    model: Annotated[Path, typer.Argument(help="The candidate's model folder.", show_default=False)],
    evaluation: Annotated[Path, typer.Argument(help="The candidate's evaluation folder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Decision folder to write; replaced as a whole.")],
    storage: Storage,
    run_id: Annotated[str, typer.Option(help="Name of the run; each run counts as one look at the test part.")],
    baseline: Annotated[Path | None, typer.Option(help="Folder of the baselines' detections.")] = None,
    alpha_ratio: Annotated[float, typer.Option(help="One-sided error rate of every bound.")] = 0.05,
    bootstrap_resamples: Annotated[int, typer.Option(help="Resamples of each paired bootstrap.")] = 2000,
    bootstrap_seed: Annotated[int, typer.Option(help="Same seed, same bounds.")] = 0,
    min_ap50_95_gain: Annotated[float, typer.Option(help="Gain in AP50-95 that the lower bound must exceed.")] = 0.0,
    efficiency_margin_ap50_95: Annotated[
        float, typer.Option(help="Above 0, a faster or 5 % smaller model passes when not worse by more than this.")
    ] = 0.0,
    max_mr2_increase: Annotated[
        float, typer.Option(help="Increase of MR-2 (Reasonable) to rule out; 1 is off.")
    ] = 0.01,
    max_slice_ap50_drop: Annotated[float, typer.Option(help="Drop of AP50 to rule out in every slice.")] = 0.02,
    min_slice_boxes: Annotated[int, typer.Option(help="Slices with fewer pedestrians do not block.")] = 200,
    min_test_groups: Annotated[int, typer.Option(help="Fewest groups that prove anything against a champion.")] = 10,
    min_test_pedestrians: Annotated[int, typer.Option(help="Fewest pedestrians that prove anything; 0 is off.")] = 20,
    min_ap50: Annotated[float, typer.Option(help="AP50 that any candidate must reach; 0 is off.")] = 0.0,
    max_latency_p95_seconds: Annotated[float, typer.Option(help="For one picture on one thread; 0 is off.")] = 1.0,
    max_latency_ratio: Annotated[float, typer.Option(help="p95 latency over the champion's; 0 is off.")] = 1.2,
    max_model_megabytes: Annotated[float, typer.Option(help="Size of the ONNX file; 0 is off.")] = 300.0,
    max_test_looks: Annotated[int, typer.Option(help="Runs that may look at one test part; 0 is off.")] = 20,
    json: Json = False,
) -> None:
    """Judge a candidate against the champion on the sealed test part: accuracy, slices, miss rate, latency, size."""
    given: dict[str, Any] = dict(locals())
    from belisha.components.compare.compare import compare
    from belisha.components.compare.settings import GateSettings

    gates = GateSettings(**{name: given[name] for name in GateSettings.__dataclass_fields__})
    with progress_sink() as progress:
        decision = compare(dataset, split, model, evaluation, baseline, out, storage, run_id, gates, progress)
    if json:
        print_json(decision.to_json())
    else:
        _print_gates(decision)
        print_sentence(f"{decision.sentence}\nThe report is {out / 'report.html'}")
    raise typer.Exit(decision.verdict.exit_code)


def _print_gates(decision: Decision) -> None:
    from rich.table import Table
    from rich.text import Text

    from belisha.components.shared.verdict import Verdict

    table = Table("verdict", "gate", "finding")
    for gate in decision.gates:
        if gate.blocking or gate.verdict is not Verdict.INCONCLUSIVE:
            table.add_row(gate.verdict.value, Text(gate.name, no_wrap=True), Text(gate.sentence))
    console.print(table)
