"""`belisha retrain`: start a training run for a cause, once; the weekly run; where retraining stands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from belisha.cli.kfp_options import Endpoint, Namespace, TokenFile
from belisha.cli.output import console, print_json, print_sentence, progress_sink
from belisha.cli.release_options import Json, Storage

if TYPE_CHECKING:
    from belisha.components.retrain.loop_figures import RetrainStatus
    from belisha.components.retrain.retrainer import Outcome
    from belisha.retraining.retraining import Retraining

_CODES = """
Exit codes: 0 the cause is taken care of (started, going on, waiting its turn or for reviewed pictures, or dealt with before),
1 it was declined or its run failed, 2 bad input, 75 try again: nothing is lost, the next check goes on.
"""
_START_EXAMPLES = f"""
Examples:

    belisha retrain start --cause "the cameras were cleaned" --data pictures/ --storage run1/storage --wait

    belisha retrain start --cause drift-0123456789abcdef --trigger kfp --config retrain.yaml --storage s3://bucket/belisha

The same cause gets one run, however often and by whomever it is started. {_CODES}
"""
_WEEKLY_EXAMPLES = f"""
Examples:

    belisha retrain weekly --data pictures/ --storage run1/storage

    belisha retrain weekly --trigger kfp --config /etc/belisha/retrain.yaml --storage s3://bucket/belisha --json

The cause is the calendar week in UTC, such as weekly-2026-W47. {_CODES}
"""
_SETTLE_EXAMPLES = """
Examples:

    belisha retrain settle --storage run1/storage

    belisha retrain settle --trigger kfp --config retrain.yaml --storage s3://bucket/belisha

Exit codes: 0 done, 75 the trigger could not be reached.
"""
_STATUS_EXAMPLES = """
Examples:

    belisha retrain status --storage run1/storage

    belisha retrain status --storage s3://bucket/belisha --json

Reads the ledger alone. Exit code 0.
"""
Config = Annotated[
    Path | None,
    typer.Option(
        envvar="BELISHA_RETRAIN_CONFIG", help="YAML file with policy and run parameters, see docs/retraining.md."
    ),
]
TriggerKind = Annotated[str, typer.Option(help="local: a process on this machine; kfp: Kubeflow Pipelines.")]
Workdir = Annotated[Path | None, typer.Option(help="Where local runs are kept; by default beside the storage.")]
Data = Annotated[list[str] | None, typer.Option(help="Labelled pictures to train on; may be given several times.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A parameter of the pipeline as NAME=VALUE.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the cause's run has ended.")]
_POLL_SECONDS = 2.0


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Train anew, once a cause, within a budget.", no_args_is_help=True)
    group.command(name="start", epilog=_START_EXAMPLES)(_start)
    group.command(name="weekly", epilog=_WEEKLY_EXAMPLES)(_weekly)
    group.command(name="settle", epilog=_SETTLE_EXAMPLES)(_settle)
    group.command(name="status", epilog=_STATUS_EXAMPLES)(_status)
    app.add_typer(group, name="retrain")


def _start(
    storage: Storage,
    cause: Annotated[str, typer.Option(help="Why, in a few words; or the name of a cause that the ledger knows.")],
    trigger: TriggerKind = "local",
    config: Config = None,
    data: Data = None,
    settings: Settings = None,
    workdir: Workdir = None,
    over_budget: Annotated[
        bool, typer.Option("--over-budget", help="Neither budget nor cooldown nor a trial nor review holds it back.")
    ] = False,
    kfp_endpoint: Endpoint = "",
    kfp_namespace: Namespace = "",
    kfp_token_file: TokenFile = "",
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Start a training run for a cause, unless it has one; its candidate becomes a challenger at most, never champion."""
    from belisha.components.retrain.cause import manual_cause

    retraining = _retraining(dict(locals()))
    with progress_sink() as progress:
        found = retraining.cause_of(cause) or manual_cause(cause)
        outcomes = retraining.start(found, progress, by_hand=over_budget)
    _finish(retraining, outcomes, found.cause_id, wait=wait, json=json)


def _weekly(
    storage: Storage,
    trigger: TriggerKind = "local",
    config: Config = None,
    data: Data = None,
    settings: Settings = None,
    workdir: Workdir = None,
    kfp_endpoint: Endpoint = "",
    kfp_namespace: Namespace = "",
    kfp_token_file: TokenFile = "",
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Start this week's training run, unless it has been; and go on with every cause that waits."""
    retraining = _retraining(dict(locals()))
    with progress_sink() as progress:
        outcomes = retraining.weekly(progress)
    _finish(retraining, outcomes, outcomes[-1].cause.cause_id, wait=wait, json=json)


def _settle(
    storage: Storage,
    trigger: TriggerKind = "local",
    config: Config = None,
    workdir: Workdir = None,
    kfp_endpoint: Endpoint = "",
    kfp_namespace: Namespace = "",
    kfp_token_file: TokenFile = "",
    json: Json = False,
) -> None:
    """Ask how the runs ended that were started, record it in the ledger, and push the metrics."""
    retraining = _retraining(dict(locals()))
    with progress_sink() as progress:
        outcomes = retraining.settle(progress)
    _print(retraining.status(), outcomes, json=json)


def _status(storage: Storage, config: Config = None, json: Json = False) -> None:
    """Show every cause and what became of it."""
    from belisha.components.retrain.loop_figures import status_of
    from belisha.components.shared.registry import open_registry
    from belisha.retraining.config import read_config

    ledger = open_registry(storage, must_exist=True).ledger
    status = status_of(ledger.records(), read_config(config).policy, _now())
    if json:
        print_json(status.to_json())
        return
    _print_table(status)
    print_sentence(status.sentence)


def retraining_of(
    storage: str, trigger: str, config: Path | None, *, log: str = "", workdir: Path | None = None, **given: Any
) -> Retraining:
    """Retraining as options and file ask for it; `given` may hold data, settings, deployment and the three KFP options."""
    from belisha.cli.kfp_options import over_file
    from belisha.pipelines.arguments import absolute_source, pipeline_arguments
    from belisha.retraining.config import read_config
    from belisha.retraining.retraining import Retraining, make_trigger

    read = read_config(config)
    sources = [absolute_source(source) for source in given.get("data") or ()]
    named = {"data_sources": sources or None}
    parameters = {**read.parameters, **pipeline_arguments(named, given.get("settings") or [])}
    kfp = over_file(
        read.kfp,
        endpoint=given.get("kfp_endpoint", ""),
        namespace=given.get("kfp_namespace", ""),
        token_file=given.get("kfp_token_file", ""),
    )
    deployment = given.get("deployment") or read.deployment_name
    whole = read.model_copy(update={"parameters": parameters, "kfp": kfp, "deployment_name": deployment})
    return Retraining(storage, make_trigger(trigger, storage, workdir, kfp), whole, log)


def print_outcomes(outcomes: list[Outcome]) -> None:
    """A sentence for each."""
    for outcome in outcomes:
        print_sentence(f"{outcome.cause.cause_id}: {outcome.sentence}")


def exit_code_of(outcomes: list[Outcome]) -> int:
    """1 when a cause was declined or its run failed, else 0."""
    from belisha.components.retrain.policy import Step
    from belisha.components.retrain.run_records import Stage

    bad = [
        outcome
        for outcome in outcomes
        if outcome.step in (Step.DECLINE, Step.GIVE_UP) or (outcome.run and outcome.run.stage is Stage.FAILED)
    ]
    return 1 if bad else 0


def outcomes_to_json(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """JSON values for programs."""
    from belisha.components.retrain.loop_figures import run_to_json

    return [
        {
            **({} if outcome.run is None else run_to_json(outcome.run)),
            "cause": outcome.cause.cause_id,
            "step": outcome.step.value,
            "sentence": outcome.sentence,
        }
        for outcome in outcomes
    ]


def _retraining(given: dict[str, Any]) -> Retraining:
    return retraining_of(**{name: value for name, value in given.items() if name not in ("cause", "wait", "json")})


def _finish(retraining: Retraining, outcomes: list[Outcome], cause_id: str, *, wait: bool, json: bool) -> None:
    if not json:
        print_outcomes(outcomes)
    if wait:
        outcomes = [*outcomes, *_waited(retraining, cause_id)]
        if not json:
            print_outcomes(outcomes[-1:])
    if json:
        print_json({"outcomes": outcomes_to_json(outcomes), **retraining.status().to_json()})
    raise typer.Exit(exit_code_of([outcome for outcome in outcomes if outcome.cause.cause_id == cause_id]))


def _waited(retraining: Retraining, cause_id: str) -> list[Outcome]:
    """Wait until the cause's run has ended, whoever records that; how it ended, nothing when it has no run."""
    from belisha.components.retrain.policy import Step
    from belisha.components.retrain.retrainer import Outcome
    from belisha.components.retrain.run_records import Stage

    while True:
        with progress_sink() as progress:
            retraining.settle(progress)
        run = next((one for one in retraining.status().runs if one.cause.cause_id == cause_id), None)
        if run is None or not run.stage.is_running:
            break
        time.sleep(_POLL_SECONDS)
    if run is None:
        return []
    step = Step.NOTHING if run.stage is not Stage.FAILED else Step.GIVE_UP
    return [Outcome(run.cause, step, run.sentence, run)]


def _print(status: RetrainStatus, outcomes: list[Outcome], *, json: bool) -> None:
    if json:
        print_json({"outcomes": outcomes_to_json(outcomes), **status.to_json()})
        return
    print_outcomes(outcomes)
    print_sentence(status.sentence)


def _print_table(status: RetrainStatus) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("cause", "stage", "when (UTC)", "attempts", "trigger", "what")
    for run in status.runs:
        when = f"{run.at:%Y-%m-%d %H:%M}"
        table.add_row(
            run.cause.cause_id, run.stage.value, when, str(run.attempt), run.trigger or "–", Text(run.sentence)
        )
    console.print(table)


def _now() -> Any:
    from belisha.components.shared.ledger import system_clock

    return system_clock()
