"""What the verbs do with a release: look at it, watch it, and change it in the ledger or only pretend to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import typer

from belisha.cli.output import print_sentence
from belisha.components.release import policy
from belisha.components.release.cluster import KubernetesCluster
from belisha.components.release.controller import Controller, Target, target_of
from belisha.components.release.release import ReleaseOutcome
from belisha.components.shared.errors import ClusterError, StorageError
from belisha.components.shared.ledger import LedgerState, Record
from belisha.components.shared.registry import Registry, open_registry
from belisha.components.shared.verdict import Verdict
from belisha.kubectl.options import DryRun, Output
from belisha.kubectl.place import Place, Where
from belisha.kubectl.printers import print_status, print_value
from belisha.kubectl.view import StatusView, status_view

_LOOK_SECONDS = 2.0


def controller_of(place: Place) -> Controller:
    """A controller that looks, and that only dry runs write with."""
    cluster = KubernetesCluster(place.api, place.namespace, place.name)
    return Controller(cluster, open_registry(place.storage_uri, must_exist=True), place.template, adopt=True)


def show(place: Place, output: Output, *, watch: bool, timeout_seconds: float) -> None:
    """Print how a release stands, once or until it stands well; leaves with the verdict's exit code."""
    view = _watched(place, timeout_seconds) if watch else _view(controller_of(place), place)
    print_status(view, output)
    raise typer.Exit(Verdict(view.verdict).exit_code)


def change(
    where: Where,
    decide: Callable[[Registry, list[Record], LedgerState], policy.Move],
    record: Callable[[], ReleaseOutcome],
    *,
    dry_run: DryRun,
    output: Output,
    watch: bool,
    timeout_seconds: float,
) -> None:
    """Record a decision, and watch the cluster follow it where asked; or show what the cluster would be given.

    Args:
        where: which release.
        decide: what would be recorded, for a dry run.
        record: records it.
        dry_run: whether to pretend, and who looks at it.
        output: how to print.
        watch: wait until the cluster has it.
        timeout_seconds: longest wait.
    """
    if dry_run is not DryRun.NONE:
        _pretend(where.place, decide, output, on_server=dry_run is DryRun.SERVER)
        return
    outcome = record()
    print_sentence(outcome.sentence)
    if watch:
        show(where.place, output, watch=True, timeout_seconds=timeout_seconds)
    if output is not Output.TABLE:
        print_value(_outcome_to_json(outcome), output)


def _pretend(
    place: Place,
    decide: Callable[[Registry, list[Record], LedgerState], policy.Move],
    output: Output,
    *,
    on_server: bool,
) -> None:
    """Print the object that the controller's next step would write; let the API server and its webhooks judge it."""
    controller = controller_of(place)
    cluster = controller.cluster.look()
    records = controller.registry.ledger.records()
    move = decide(controller.registry, records, records[-1].state if records else LedgerState())
    state = move.draft.state if move.draft else target_of(records).state
    look = controller.decide(cluster, Target(len(records) + 1, state, records))
    where = "server" if on_server else "client"
    print_sentence(f"{move.sentence} (dry run, {where}); the first step: {look.step.sentence}")
    if look.body is None:
        return
    written = controller.cluster.write(look.body, cluster, dry_run=True) if on_server else look.body
    print_value(_without_noise(written), Output.YAML if output is Output.TABLE else output)


def _view(controller: Controller, place: Place) -> StatusView:
    return status_view(controller.look(), place.namespace, place.name)


def _watched(place: Place, timeout_seconds: float) -> StatusView:
    """Look again and again until all is well or the time is up, telling what changes."""
    controller, told = controller_of(place), ""
    end = time.monotonic() + timeout_seconds if timeout_seconds else float("inf")
    while True:
        late = time.monotonic() >= end
        try:
            look = controller.look()
        except (ClusterError, StorageError) as error:
            if late:
                raise
            sentence = str(error)
            time.sleep(_LOOK_SECONDS)
        else:
            view = status_view(look, place.namespace, place.name)
            if late or view.verdict == Verdict.PASS:
                return view
            sentence = f"{view.verdict}: {view.sentence}"
            controller.cluster.wait_for_change(look.cluster, _LOOK_SECONDS)
        if sentence != told:
            print_sentence(sentence)
            told = sentence


def _outcome_to_json(outcome: ReleaseOutcome) -> dict[str, Any]:
    return {
        "version": outcome.version,
        "action": outcome.action.value if outcome.action else None,
        "sentence": outcome.sentence,
        "record": outcome.record,
        "champion": outcome.state.champion,
        "challenger": outcome.state.challenger,
        "challenger_traffic_ratio": outcome.state.challenger_traffic_ratio,
    }


def _without_noise(body: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return {**{key: value for key, value in body.items() if key != "status"}, "metadata": metadata}
