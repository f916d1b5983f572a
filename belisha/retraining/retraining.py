"""Retraining put together: ledger, policy, review and the trigger that was chosen. Verbs and jobs call the functions here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from belisha.components.retrain.cause import Cause, CauseKind, drift_cause, weekly_cause
from belisha.components.retrain.data_quality import quality_problems
from belisha.components.retrain.loop_figures import RetrainStatus, metrics_of, status_of
from belisha.components.retrain.policy import Evidence, ReviewFinding, Step
from belisha.components.retrain.retrainer import Outcome, Retrainer
from belisha.components.retrain.review_evidence import judged, review_evidence
from belisha.components.retrain.run_records import Stage
from belisha.components.retrain.trigger import Trigger
from belisha.components.shared.drift_alert import DriftAlert, drift_alerts
from belisha.components.shared.errors import BelishaError, InputError, StorageError
from belisha.components.shared.ledger import Clock, Ledger, system_clock
from belisha.components.shared.progress import ProgressEvent, ProgressSink
from belisha.components.shared.registry import REGISTRY_FOLDER, open_registry
from belisha.components.shared.review_queue import (
    REVIEWED_DATASET_PREFIX,
    Pick,
    join_reviewed,
    read_batches,
    read_imports,
)
from belisha.components.shared.storage import join_uri, open_store
from belisha.pipelines.arguments import refuse_unknown_names
from belisha.retraining.config import KfpConfig, RetrainConfig

TRIGGERS = ("local", "kfp")
# People are asked mostly for what estimates need, the uniform draw, and for some of the drifted stratum to learn from.
_REVIEW_SHARES = {Pick.UNIFORM: 0.8, Pick.DRIFTED: 0.2}
_REVIEWED_LABELS = f"{REVIEWED_DATASET_PREFIX}/labels.json"


@dataclass(frozen=True, slots=True)
class Retraining:
    """One installation's retraining.

    Attributes:
        storage_uri: where pictures, models and the ledger live.
        trigger: that starts runs.
        config: policy and run parameters.
        log_uri: where the request log lives; empty for the storage.
        clock: tells now.
    """

    storage_uri: str
    trigger: Trigger
    config: RetrainConfig = field(default_factory=RetrainConfig)
    log_uri: str = ""
    clock: Clock = system_clock

    def act_on_alert(self, progress: ProgressSink) -> list[Outcome]:
        """Deal with the last confirmed alert and with everything that waits; what a drift check does when it has ended.

        Raises:
            InputError: nothing says what to train on.
            BelishaError: the trigger could not be reached; the next check goes on.
        """
        causes = [drift_cause(alert)] if (alert := self._last_alert()) is not None else []
        return self._deal_with(causes, progress)

    def weekly(self, progress: ProgressSink) -> list[Outcome]:
        """Deal with this week's run and with everything that waits; raises as `act_on_alert`."""
        return self._deal_with([weekly_cause(self.clock())], progress)

    def start(self, cause: Cause, progress: ProgressSink, *, by_hand: bool = False) -> list[Outcome]:
        """Deal with one cause, and before it with everything that waits; raises as `act_on_alert`."""
        return self._deal_with([cause], progress, by_hand=by_hand)

    def settle(self, progress: ProgressSink) -> list[Outcome]:
        """Record how submitted runs ended, and push the metrics; raises BelishaError when the trigger cannot tell."""
        outcomes = self._retrainer().settle()
        self._push_metrics(progress)
        return outcomes

    def cause_of(self, text: str) -> Cause | None:
        """The recorded cause that a text names; None when it names none."""
        alerts = [alert for _, alert in drift_alerts(self._ledger().records()) if alert.cause_id == text]
        if alerts:
            return drift_cause(alerts[-1])
        known = [run.cause for run in self.status().runs if run.cause.cause_id == text]
        return known[-1] if known else None

    def status(self) -> RetrainStatus:
        """Where retraining stands, by the ledger alone."""
        return status_of(self._ledger().records(), self.config.policy, self.clock())

    def _push_metrics(self, progress: ProgressSink) -> None:
        """Push the loop's metrics where a Pushgateway is set; one that is away hides nothing of what was done."""
        try:
            metrics_of(self.status(), self.config.deployment_name).push_if_configured()
        except StorageError as error:
            progress(ProgressEvent("metrics", 0, None, "pushed", f"warning: {error}"))

    def parameters(self) -> dict[str, Any]:
        """Of a run that would start now: reviewed pictures first, for the first labels of a picture count.

        Raises:
            InputError: nothing says what to train on, or reviewed pictures cannot be read beside it.
        """
        given = dict(self.config.parameters)
        sources = list(given.get("data_sources") or ())
        if not sources:
            raise InputError(
                "nothing says what to train on: give --data, or data_sources below parameters of the --config file"
            )
        refuse_unknown_names(given)
        if open_store(self.storage_uri).exists(_REVIEWED_LABELS):
            forced = [name for name in ("data_format", "data_images_dir") if given.get(name)]
            if forced:
                raise InputError(
                    f"reviewed pictures are labelled in COCO beside their pictures, so {' and '.join(forced)} cannot hold "
                    "for every source: leave it empty, formats are recognised"
                )
            sources = [join_uri(self.storage_uri, REVIEWED_DATASET_PREFIX), *sources]
        return {**given, "data_sources": sources, "storage_uri": join_uri(self.storage_uri)}

    def _deal_with(self, causes: list[Cause], progress: ProgressSink, *, by_hand: bool = False) -> list[Outcome]:
        parameters, retrainer = self.parameters(), self._retrainer()
        ended = retrainer.settle()
        acted = [retrainer.act(cause, parameters, by_hand=by_hand) for cause in causes]
        named = {cause.cause_id for cause in causes}
        waiting = [outcome for outcome in retrainer.take_up(parameters) if outcome.cause.cause_id not in named]
        for outcome in (*acted, *waiting):
            self._ask_people(outcome, progress)
        self._push_metrics(progress)
        return [*ended, *waiting, *acted]

    def _ask_people(self, outcome: Outcome, progress: ProgressSink) -> None:
        """Hand out pictures for a cause that waits for review; asking again gives the same batch."""
        if outcome.run is None or outcome.run.stage is not Stage.ASKED:
            return
        alert = self._alert_of(outcome.cause)
        if alert is None:
            return
        from belisha.components.review.choose import ChoiceSettings
        from belisha.components.review.select import SelectSettings, select

        settings = SelectSettings(
            key=alert.cause_id,
            cause=alert.sentence,
            begin=min(stratum.begin for stratum in alert.strata),
            end=max(stratum.end for stratum in alert.strata),
            choice=ChoiceSettings(self.config.policy.review_pictures, _REVIEW_SHARES),
            deployment_name=alert.deployment_name,
        )
        select(self.storage_uri, self.log_uri, settings, progress, self.clock)

    def _evidence(self, cause: Cause) -> Evidence:
        """What is known of a cause besides the ledger."""
        alert = self._alert_of(cause) if cause.kind is CauseKind.DRIFT else None
        if alert is None:
            return Evidence()
        problems = tuple(quality_problems(alert))
        finding, sentence = self._reviewed(cause, alert.model_version)
        return Evidence(problems, finding, sentence)

    def _reviewed(self, cause: Cause, champion: str) -> tuple[ReviewFinding, str]:
        store = open_store(self.storage_uri)
        batches = [batch for batch in read_batches(store) if batch.key == cause.cause_id]
        reviewed = join_reviewed(batches, read_imports(store))
        threshold, test_f1 = _tested(self.storage_uri, champion)
        evidence = review_evidence(reviewed, champion, threshold)
        return judged(evidence, test_f1, self.config.policy)

    def _last_alert(self) -> DriftAlert | None:
        found = [alert for _, alert in drift_alerts(self._ledger().records(), self.config.deployment_name)]
        return found[-1] if found else None

    def _alert_of(self, cause: Cause) -> DriftAlert | None:
        found = [alert for _, alert in drift_alerts(self._ledger().records()) if alert.cause_id == cause.cause_id]
        return found[-1] if found else None

    def _retrainer(self) -> Retrainer:
        settings = self.config.policy
        return Retrainer(self._ledger(), self.trigger, settings, clock=self.clock, evidence=self._evidence)

    def _ledger(self) -> Ledger:
        return Ledger(open_store(join_uri(self.storage_uri, REGISTRY_FOLDER)), clock=self.clock)


def make_trigger(kind: str, storage_uri: str, workdir: Path | None, kfp: KfpConfig) -> Trigger:
    """The trigger of a kind; raises InputError on an unknown one or when it lacks what it needs."""
    if kind == "local":
        from belisha.pipelines.local_trigger import LocalTrigger, default_workdir

        return LocalTrigger(workdir or default_workdir(storage_uri))
    if kind == "kfp":
        from belisha.components.retrain.kfp_trigger import KfpTarget, KfpTrigger
        from belisha.retraining.kfp_access import client_of

        target = KfpTarget(kfp.experiment, kfp.pipeline, kfp.pipeline_root, kfp.service_account)
        return KfpTrigger(client_of(kfp), target)
    raise InputError(f"--trigger {kind!r} is none of {' and '.join(TRIGGERS)}: give one of them")


def started(outcomes: list[Outcome]) -> list[Outcome]:
    """Those whose run was started now."""
    return [outcome for outcome in outcomes if outcome.step is Step.START]


def _tested(storage_uri: str, champion: str) -> tuple[float, float | None]:
    """Serving threshold and test F1 of a model version; F1 is None where its evaluation does not tell."""
    registry = open_registry(storage_uri)
    try:
        version = registry.version(champion)
        metrics: Mapping[str, Any] = _json(registry.read_file(version, "evaluation/metrics.json"))
    except BelishaError:
        return 0.0, None
    f1 = metrics.get("headline", {}).get("test_f1")
    return float(metrics.get("score_threshold") or 0.0), None if f1 is None else float(f1)


def _json(data: bytes) -> dict[str, Any]:
    from belisha.components.shared.evaluation_artifact import EVALUATION_SCHEMA
    from belisha.components.shared.files import parse_json

    return parse_json(data, "evaluation/metrics.json", schema=EVALUATION_SCHEMA)
