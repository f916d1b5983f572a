"""`belisha controller`: bring the SeldonDeployment of a cluster to what the ledger says, once or for ever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from belisha.cli.output import print_json, print_sentence
from belisha.cli.release_options import Json, Storage, state_to_json

if TYPE_CHECKING:
    from belisha.components.release.apply import ApplyOutcome

_EXAMPLES = """
Examples:

    belisha controller apply --storage s3://bucket/belisha --template release-template.json

    belisha controller run --storage s3://bucket/belisha --prometheus http://prometheus.monitoring:9090

A new predictor comes without traffic; the shares move when everything is ready; the old predictor goes when the mesh has let
go of it. A challenger that does not get ready in time ends its trial, which the ledger records. Exit codes of apply: 0 the
cluster serves what the ledger says, 1 it does not and trying again will not help, 3 not enough requests to tell, 70 refused,
75 try again.
"""

_app = typer.Typer(
    name="controller",
    help="Bring the SeldonDeployment of a cluster to what the ledger says.",
    epilog=_EXAMPLES,
    no_args_is_help=True,
)

_DEFAULT_TEMPLATE = Path("/etc/belisha/release/release-template.json")
Template = Annotated[Path, typer.Option(help="The release template, as the chart's ConfigMap has it.")]
Context = Annotated[str, typer.Option(help="Context of the kubeconfig; in a pod, its service account is taken.")]
Kubeconfig = Annotated[str, typer.Option(help="Path of the kubeconfig; else $KUBECONFIG.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Else the template's, or the context's.")]
Prometheus = Annotated[str, typer.Option(help="Its address; the realised split is checked with it.")]
StageSeconds = Annotated[float, typer.Option("--timeout", min=1, help="Longest wait for one step, in seconds.")]
Window = Annotated[int, typer.Option(min=10, help="Seconds over which the realised split is counted.")]
EndTrials = Annotated[
    bool, typer.Option("--end-trials/--hold", help="What to do about a challenger that does not get ready in time.")
]
Adopt = Annotated[bool, typer.Option("--adopt", help="Take over a SeldonDeployment that somebody else made.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app)


@_app.command(name="apply", epilog=_EXAMPLES)
def _apply(
    storage: Storage,
    template: Template = _DEFAULT_TEMPLATE,
    namespace: Namespace = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    prometheus: Prometheus = "",
    stage_seconds: StageSeconds = 900,
    window: Window = 120,
    end_trials: EndTrials = True,
    adopt: Adopt = False,
    json: Json = False,
) -> None:
    """Bring the cluster to what the ledger says, wait for it, check it, and record what came of it; safe to repeat."""
    from belisha.components.release.apply import ApplySettings
    from belisha.components.release.assemble import ClusterOptions, applier_of

    options = ClusterOptions(namespace, context, kubeconfig, prometheus, adopt)
    settings = ApplySettings(stage_seconds=stage_seconds, traffic_window_seconds=window, end_trials=end_trials)
    outcome = applier_of(storage, template, options, settings, print_sentence).apply()
    _print(outcome, json=json)
    raise typer.Exit(outcome.status.verdict.exit_code)


@_app.command(name="run", epilog=_EXAMPLES)
def _run(
    storage: Storage,
    template: Template = _DEFAULT_TEMPLATE,
    namespace: Namespace = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    prometheus: Prometheus = "",
    stage_seconds: StageSeconds = 900,
    window: Window = 120,
    end_trials: EndTrials = True,
    adopt: Adopt = False,
    poll: Annotated[float, typer.Option(min=1, help="Seconds between two looks at the ledger.")] = 5,
    heartbeat: Annotated[Path | None, typer.Option(help="File to touch in each round, for a liveness probe.")] = None,
    json: Json = False,
) -> None:
    """Follow the ledger and the cluster until told to stop; every outcome that is news goes on record."""
    from belisha.components.release.apply import ApplySettings, follow
    from belisha.components.release.assemble import ClusterOptions, applier_of
    from belisha.components.release.heartbeat import beating

    options = ClusterOptions(namespace, context, kubeconfig, prometheus, adopt)
    settings = ApplySettings(stage_seconds, poll, window, end_trials)
    applier = applier_of(storage, template, options, settings, print_sentence)
    if heartbeat is not None:
        applier.pause = beating(heartbeat)
    follow(applier, lambda outcome: _print(outcome, json=json))


def _print(outcome: ApplyOutcome, *, json: bool) -> None:
    if not json:
        print_sentence(f"{outcome.status.verdict}: record {outcome.record}: {outcome.status.sentence}")
        return
    gates = [
        {"name": gate.name, "verdict": gate.verdict.value, "sentence": gate.sentence} for gate in outcome.status.gates
    ]
    print_json(
        {
            "verdict": outcome.status.verdict.value,
            "sentence": outcome.status.sentence,
            "record": outcome.record,
            "steps": list(outcome.steps),
            "gates": gates,
            **state_to_json(outcome.state),
        }
    )
