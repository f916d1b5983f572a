"""The release controller: brings a SeldonDeployment to what the ledger says, one safe step at a time.

Nothing is kept between steps: each looks at the object first and at the ledger second, makes at most one write that fails when
anybody wrote in between, and leaves the rest to the next. So it may be killed anywhere, run twice, and race with another one:
the ledger is read after the object, so a write that goes through is of a state no older than the one that the object had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from belisha.components.release.cluster import Cluster
from belisha.components.release.cluster_state import TEMPLATE_ANNOTATION, ClusterState, covers
from belisha.components.release.release_template import Mode, ReleaseTemplate
from belisha.components.release.rollout import Stage, Step, as_it_stands, next_step
from belisha.components.release.seldon_deployment import Placement, placements, seldon_deployment
from belisha.components.shared.errors import InputError
from belisha.components.shared.ledger import Action, LedgerState, Record
from belisha.components.shared.registry import Registry


@dataclass(frozen=True, slots=True)
class Target:
    """What the ledger asks for.

    Attributes:
        number: of the record that asked for it first; 0 for an empty ledger.
        state: who is to serve.
        records: all of them.
    """

    number: int
    state: LedgerState
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Look:
    """One look at everything, and the step that follows from it.

    Attributes:
        cluster: what stands there.
        target: what is asked for.
        wanted: the same as a layout.
        step: what is to be done next.
        body: the object to write; None when the step is no write.
    """

    cluster: ClusterState
    target: Target
    wanted: tuple[Placement, ...]
    step: Step
    body: dict[str, Any] | None = None


def target_of(records: Sequence[Record]) -> Target:
    """What a ledger asks for: the state of its last record, and the record since which it holds."""
    if not records:
        return Target(0, LedgerState(), ())
    state = records[-1].state
    number = records[-1].number
    for record in reversed(records):
        if record.state != state:
            break
        number = record.number
    return Target(number, state, records)


class Controller:
    """Brings one SeldonDeployment to what a ledger says.

    Args:
        cluster: where the object lives.
        registry: whose ledger is followed.
        template: the shape of the object.
        adopt: take over an object that somebody else made.
    """

    def __init__(self, cluster: Cluster, registry: Registry, template: ReleaseTemplate, *, adopt: bool = False) -> None:
        self.cluster, self.registry, self.template, self._adopt = cluster, registry, template, adopt

    def look(self) -> Look:
        """Look at the object, then at the ledger, and decide; raises ClusterError, StorageError, InputError."""
        cluster = self.cluster.look()
        return self.decide(cluster, target_of(self.registry.ledger.records()))

    def decide(self, cluster: ClusterState, target: Target) -> Look:
        """The next step from what was seen: pure; raises InputError for an object that is not ours."""
        if cluster.body is not None and not cluster.is_ours and not self._adopt:
            raise InputError(
                f"SeldonDeployment {self.cluster.name} was not made by a release controller: "
                "delete it, choose another name, or take it over with --adopt"
            )
        wanted = placements(target.state, self.template)
        if not wanted:
            step = Step(Stage.DONE, (), "the ledger has no champion yet: there is nothing to serve")
            return Look(cluster, target, wanted, step)
        step = self._step(cluster, wanted)
        layout = step.layout if step.stage is Stage.WRITE else self._standing(cluster, wanted)
        body = self._body(layout, target)
        if step.stage is Stage.WRITE:
            return Look(cluster, target, wanted, step, body)
        if not self._has_shape(cluster, body):
            step = Step(Stage.WRITE, layout, "the pods take the shape of the release template")
            return Look(cluster, target, wanted, step, body)
        if step.stage is Stage.DONE and cluster.record_number != target.number:
            # Annotations alone: nothing restarts.
            return Look(cluster, target, wanted, replace(step, stage=Stage.WRITE, layout=layout), body)
        return Look(cluster, target, wanted, step)

    def carry_out(self, look: Look, *, dry_run: bool = False) -> None:
        """Make the write of a step, if it is one.

        Raises:
            ConflictError: somebody wrote the object since the look.
            RefusedError: Seldon's webhook, or the API server, will not have it.
        """
        if look.body is not None:
            self.cluster.write(look.body, look.cluster, dry_run=dry_run)

    def _step(self, cluster: ClusterState, wanted: Sequence[Placement]) -> Step:
        if self.template.mode is Mode.ROUTER:
            return self._routed_step(cluster, wanted)
        present = cluster.present()
        if present is None:
            # A router of an earlier template: the operator lets it serve until the champion's own predictor is ready.
            return next_step((), wanted, settled=True)
        return next_step(present, wanted, settled=cluster.is_settled())

    def _routed_step(self, cluster: ClusterState, wanted: Sequence[Placement]) -> Step:
        """One predictor holds everybody, and its router reads the shares from the ledger itself."""
        names = " and ".join(one.version for one in wanted)
        (predictor,) = seldon_deployment(wanted, self.template)["spec"]["predictors"]
        if [one.get("name") for one in cluster.predictors] != [predictor["name"]]:
            return Step(Stage.WRITE, tuple(wanted), f"one predictor with {names} takes over when it is ready")
        if not cluster.is_ready(cluster.predictors[0]):
            return Step(Stage.WAIT, (), f"the predictor of {names} is not ready", tuple(one.version for one in wanted))
        if not cluster.is_settled():
            return Step(Stage.WAIT, (), f"the mesh is to send all requests to the predictor of {names}")
        return Step(Stage.DONE, tuple(wanted), f"{names} behind one router")

    def _standing(self, cluster: ClusterState, wanted: Sequence[Placement]) -> tuple[Placement, ...]:
        present = cluster.present()
        return tuple(wanted) if self.template.mode is Mode.ROUTER or not present else as_it_stands(present, wanted)

    def _body(self, layout: Sequence[Placement], target: Target) -> dict[str, Any]:
        versions = {one.version for one in layout}
        run_ids = {
            record.draft.subject: record.draft.run_id
            for record in target.records
            if record.draft.action is Action.REGISTER and record.draft.subject in versions and record.draft.run_id
        }
        return seldon_deployment(layout, self.template, record_number=target.number, run_ids=run_ids)

    def _has_shape(self, cluster: ClusterState, body: dict[str, Any]) -> bool:
        """Whether the object has the shape of the template: the same template, and nobody changed what it says."""
        metadata = (cluster.body or {}).get("metadata") or {}
        annotations = metadata.get("annotations") or {}
        same = annotations.get(TEMPLATE_ANNOTATION) == body["metadata"]["annotations"][TEMPLATE_ANNOTATION]
        return same and covers(body["spec"], (cluster.body or {}).get("spec"))
