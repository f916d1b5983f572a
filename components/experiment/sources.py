"""Where an experiment's evidence comes from, gathered once for each check."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from belisha.components.experiment import gateway_levels
from belisha.components.experiment.guards import ServiceLevels
from belisha.components.experiment.judge import Evidence
from belisha.components.experiment.last_check import LastCheck
from belisha.components.experiment.log_evidence import LogEvidence, read_log_evidence
from belisha.components.experiment.model_runner import model_runner
from belisha.components.experiment.outcome import tally_of
from belisha.components.experiment.prometheus_levels import PrometheusLevels, UnreachableError
from belisha.components.experiment.reviewed_evidence import Compared, ReviewEvidence, read_review_evidence
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.experiment.trial import Trial
from belisha.components.shared.registry import Registry
from belisha.components.shared.storage import open_store


@dataclass(frozen=True, slots=True)
class Sources:
    """Addresses.

    Attributes:
        storage_uri: of registry, reviews and evidence.
        log_uri: of the request log; empty for the same.
        prometheus: that the guards ask; None for none.
        gateway_url: of a gateway on one machine, which the guards ask instead; empty for none.
        run_models: run a model on a reviewed picture that it did not answer.
    """

    storage_uri: str
    log_uri: str = ""
    prometheus: PrometheusLevels | None = None
    gateway_url: str = ""
    run_models: bool = True


@dataclass(frozen=True, slots=True)
class Gathered:
    """The evidence, and what a report shows of it.

    Attributes:
        evidence: what the judge looks at.
        compared: reviewed pictures that count.
        waiting: pictures of the experiment that wait for people.
        left_out: reason to number of reviewed pictures that do not count.
        shadows: answers at this share that went to the log alone.
        counted: the gateway's counters, to be remembered; None where none was asked.
    """

    evidence: Evidence
    compared: tuple[Compared, ...] = ()
    waiting: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    shadows: int = 0
    counted: gateway_levels.Counted | None = None


def gather(
    sources: Sources,
    registry: Registry,
    trial: Trial,
    settings: ExperimentSettings,
    now: datetime,
    before: LastCheck | None = None,
) -> Gathered:
    """Read everything that a judgement of the trial stands on.

    Args:
        sources: where.
        registry: of the models.
        trial: the experiment.
        settings: what is asked.
        now: the present.
        before: the last check.

    Raises:
        ContractError: a record or a shard is damaged.
        StorageError: the store failed.
    """
    log = read_log_evidence(open_store(sources.log_uri or sources.storage_uri), trial, settings, now)
    levels, counted = _levels(sources, trial, settings, log, now, before)
    reviews = _reviews(sources, registry, trial, settings)
    evidence = Evidence(trial, log.assignments, log.challenger_answers, levels, tally_of(reviews.judged))
    return Gathered(evidence, reviews.compared, reviews.waiting, reviews.left_out, log.shadows, counted)


def _reviews(sources: Sources, registry: Registry, trial: Trial, settings: ExperimentSettings) -> ReviewEvidence:
    store = open_store(sources.storage_uri)
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(model_runner(registry)) if sources.run_models else None
        return read_review_evidence(store, trial, run, settings.min_picture_seconds)


def _levels(
    sources: Sources,
    trial: Trial,
    settings: ExperimentSettings,
    log: LogEvidence,
    now: datetime,
    before: LastCheck | None,
) -> tuple[ServiceLevels, gateway_levels.Counted | None]:
    """Prometheus where it is given, else the gateway's counters for failures and the request log for latencies."""
    if sources.prometheus is not None:
        since_step = (now - (trial.in_force_at or trial.steps[-1].at)).total_seconds()
        window = min(settings.guard_seconds, since_step)
        return sources.prometheus.read(trial.champion, trial.challenger, window), None
    challenger, champion = log.latencies.get(trial.challenger), log.latencies.get(trial.champion)
    if not sources.gateway_url:
        trouble = "give --prometheus in a cluster, or --gateway on one machine"
        return ServiceLevels((), challenger, champion, trouble), None
    try:
        counted = gateway_levels.gateway_attempts(sources.gateway_url, trial.challenger)
    except UnreachableError as error:
        return ServiceLevels((), challenger, champion, str(error)), None
    attempts = gateway_levels.since_last_check(before.counted if before else None, counted)
    return ServiceLevels(attempts, challenger, champion), counted
