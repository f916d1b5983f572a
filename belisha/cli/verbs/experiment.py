"""`belisha experiment`: judge the challenger on trial, and say where the trial stands."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from belisha.cli.output import console, print_json, print_sentence
from belisha.cli.release_options import ExpectRecord, Json, Storage

if TYPE_CHECKING:
    from belisha.components.experiment.experiment import Check
    from belisha.components.experiment.settings import ExperimentSettings
    from belisha.components.experiment.sources import Sources

_JUDGE_EXAMPLES = """
Examples:

    belisha experiment judge --storage run1/storage --gateway http://localhost:8080

    belisha experiment judge --storage s3://bucket/belisha --prometheus http://prometheus:9090 --matchers 'namespace="ml"'
    --mesh-draws --unit request --job --json

    belisha experiment judge --storage run1/storage --gateway http://localhost:8080 --resume

Run it every few minutes. Each check takes at most one step and writes at most one record to the ledger.

Exit codes: 0 promoted, or nothing to judge; 1 stopped; 3 going on, a step included; 2 bad input; 75 the experiment changed
meanwhile or the store failed, try again. With --job every verdict is 0.
"""
_STATUS_EXAMPLES = """
Examples:

    belisha experiment status --storage run1/storage --gateway http://localhost:8080

    belisha experiment status --storage s3://bucket/belisha --prometheus http://prometheus:9090 --json --report status.html

It asks for what the last check asked for, and changes nothing. Exit code 0.
"""

Log = Annotated[str, typer.Option("--log", help="Where the request log lies; by default the storage.")]
Prometheus = Annotated[str, typer.Option(help="Address of Prometheus, for the guards in a cluster.")]
Matchers = Annotated[str, typer.Option(help='More label matchers for every query, such as namespace="ml".')]
Deployment = Annotated[str, typer.Option(help="Name of the SeldonDeployment, as its metrics have it.")]
Gateway = Annotated[
    str, typer.Option(help="Address of `belisha serve`, for the guards on one machine; Prometheus goes first.")
]
RunModels = Annotated[
    bool, typer.Option("--run-models/--no-run-models", help="Run a model on a reviewed picture that it did not answer.")
]
Unit = Annotated[
    str, typer.Option(help="What keeps its model, as the routing policy's sticky_by: camera, client or request.")
]
MeshDraws = Annotated[
    bool, typer.Option("--mesh-draws", help="The cluster's mesh splits the traffic: every request counts as drawn.")
]
Steps = Annotated[str, typer.Option(help="Share in percent and the e-value that it needs, rising to 100.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(
        help="The challenger's trial: what the evidence says, and the next step of its share.", no_args_is_help=True
    )
    group.command(name="judge", epilog=_JUDGE_EXAMPLES)(_judge)
    group.command(name="status", epilog=_STATUS_EXAMPLES)(_status)
    app.add_typer(group, name="experiment")


def _judge(
    storage: Storage,
    log: Log = "",
    prometheus: Prometheus = "",
    matchers: Matchers = "",
    deployment: Deployment = "belisha",
    gateway: Gateway = "",
    out: Annotated[Path | None, typer.Option(help="Folder for experiment.json and report.html; replaced.")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Take the share back from whoever set it by hand, or begin anew once invalid."),
    ] = False,
    job: Annotated[bool, typer.Option("--job", help="Exit with 0 whatever the verdict, for a CronJob.")] = False,
    run_models: RunModels = True,
    unit: Unit = "camera",
    mesh_draws: MeshDraws = False,
    steps: Steps = "5:0,25:2,50:5,100:20",
    alpha_ratio: Annotated[float, typer.Option(help="Error rate of each bound.")] = 0.05,
    min_decided: Annotated[int, typer.Option(help="Decided disagreements before a step on evidence.")] = 10,
    min_decided_promotion: Annotated[int, typer.Option(help="Decided disagreements before the promotion.")] = 20,
    max_decided: Annotated[int, typer.Option(help="After so many the models are not distinguishable.")] = 500,
    max_days: Annotated[float, typer.Option(help="The trial ends after so many days.")] = 30.0,
    min_requests: Annotated[int, typer.Option(help="Drawn requests that the challenger answers before a step.")] = 200,
    min_step_seconds: Annotated[float, typer.Option(help="Time that a share stands before the next step.")] = 600.0,
    max_error_ratio: Annotated[float, typer.Option(help="Share of failed attempts that takes it out.")] = 0.01,
    max_p95_seconds: Annotated[float, typer.Option(help="95th percentile of latency; 0 is off.")] = 1.0,
    max_p95_ratio: Annotated[float, typer.Option(help="The same over the champion's; 0 is off.")] = 1.5,
    guard_seconds: Annotated[float, typer.Option(help="How far back the guards look.")] = 3600.0,
    srm_alpha_ratio: Annotated[float, typer.Option(help="p-value below which the assignment is broken.")] = 0.001,
    min_picture_seconds: Annotated[float, typer.Option(help="Of one camera's pictures within it one counts.")] = 30.0,
    settle_seconds: Annotated[float, typer.Option(help="So long after a change of the share no dice count.")] = 30.0,
    log_lag_seconds: Annotated[float, typer.Option(help="Younger rows of the log may not be there yet.")] = 120.0,
    expect_record: ExpectRecord = None,
    json: Json = False,
) -> None:
    """Check the trial once: raise the challenger's share by a step, promote it, take it out, or say what is missing."""
    given: dict[str, Any] = dict(locals())
    from belisha.components.experiment.experiment import judge_experiment

    sources, settings = _sources(given), _settings(given)
    with tempfile.TemporaryDirectory() as scratch:
        folder = out or Path(scratch) / "experiment"
        check = judge_experiment(sources, settings, folder, resume=resume, expect_record=expect_record)
    _tell(check, deployment)
    _print(check, json=json)
    if out is not None and check.trial is not None:
        print_sentence(f"The report is {out / 'report.html'}")
    raise typer.Exit(0 if job else check.exit_code)


def _status(
    storage: Storage,
    log: Log = "",
    prometheus: Prometheus = "",
    matchers: Matchers = "",
    deployment: Deployment = "belisha",
    gateway: Gateway = "",
    run_models: RunModels = True,
    report: Annotated[Path | None, typer.Option(help="Page to write as well.")] = None,
    json: Json = False,
) -> None:
    """Show the share, the samples, the estimate with its confidence sequence, and what is missing; changes nothing."""
    given: dict[str, Any] = dict(locals())
    from belisha.components.experiment.experiment import look
    from belisha.components.experiment.report import write_experiment_report

    check = look(_sources(given))
    if report is not None and check.gathered is not None and check.judgement is not None:
        write_experiment_report(report, check.gathered, check.judgement, check.settings, check.at)
    if not json and check.judgement is not None and check.judgement.event:
        print_sentence("nothing was done; a check now would decide:")
    _print(check, json=json)


def _sources(given: dict[str, Any]) -> Sources:
    from belisha.components.experiment.prometheus_levels import PrometheusLevels
    from belisha.components.experiment.sources import Sources

    asked = None
    if given["prometheus"]:
        asked = PrometheusLevels(given["prometheus"], given["deployment"], given["matchers"])
    return Sources(given["storage"], given["log"], asked, given["gateway"], given["run_models"])


def _settings(given: dict[str, Any]) -> ExperimentSettings:
    from belisha.components.experiment.settings import ExperimentSettings, parse_steps

    named = {name: given[name] for name in ExperimentSettings.__dataclass_fields__ if name in given and name != "steps"}
    return ExperimentSettings(steps=parse_steps(given["steps"]), **named)


def _tell(check: Check, deployment: str) -> None:
    """Push the metrics where a Pushgateway is configured; a check that went well is not undone by a push that did not."""
    from belisha.components.experiment.metrics import metrics_of
    from belisha.components.shared.errors import StorageError

    try:
        metrics_of(check, deployment).push_if_configured()
    except StorageError as error:
        print_sentence(f"belisha: {error}")


def _print(check: Check, *, json: bool) -> None:
    if json:
        print_json(check.to_json())
        return
    if check.judgement is not None and check.gathered is not None:
        _print_table(check)
    print_sentence(check.sentence)


def _print_table(check: Check) -> None:
    from rich.table import Table
    from rich.text import Text

    value = check.to_json()
    table = Table("what", "now", "finding")
    outcome = value["outcome"]
    table.add_row(
        "share", f"{100 * value['share_ratio_before']:g} %", f"{value['challenger']} against {value['champion']}"
    )
    table.add_row("decided", str(outcome["wins"] + outcome["losses"]), f"{value['waiting']} pictures wait for people")
    table.add_row("answers", str(value["challenger_answers"]), "of the challenger to drawn requests at this share")
    if value["last_check"] is not None:
        table.add_row("last check", value["last_check"]["at"][:19], Text(value["last_check"]["sentence"]))
    for gate in value["gates"]:
        table.add_row(gate["name"], gate["verdict"], Text(gate["sentence"]))
    for sentence in value["missing"]:
        table.add_row("missing", "", Text(sentence))
    console.print(table)
