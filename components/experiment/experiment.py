"""One check of an experiment: read, judge, keep the evidence, and record the step if it is still the step to take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from belisha.components.experiment.contract import (
    EXPERIMENT_FILE,
    REPORT_FILE,
    experiment_json,
    outcome_json,
)
from belisha.components.experiment.judge import ExperimentVerdict, Judgement, judge
from belisha.components.experiment.last_check import LastCheck, folder_of, remember, remembered
from belisha.components.experiment.report import write_experiment_report
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.experiment.sources import Gathered, Sources, gather
from belisha.components.experiment.trial import EVENT, RESUME, Trial, trial_of
from belisha.components.shared.errors import AlreadyExistsError, ConflictError, InputError
from belisha.components.shared.files import directory_aside, sha256_of_file, write_json
from belisha.components.shared.ledger import Action, Clock, Draft, LedgerState, Record, system_clock
from belisha.components.shared.registry import Registry, open_registry
from belisha.components.shared.storage import open_store

NOBODY = "there is no challenger, so there is nothing to judge: release a model that passes its gates first"


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found and did.

    Attributes:
        trial: the experiment; None where there is no challenger.
        gathered: what is known; None with it.
        judgement: what follows; None with it.
        settings: what was asked.
        at: when.
        before: the check before; None where there was none.
        record: number of the record that was written; None where nothing changed.
        evidence_uri: folder of the evidence behind it; empty with it.
    """

    trial: Trial | None
    gathered: Gathered | None
    judgement: Judgement | None
    settings: ExperimentSettings
    at: datetime
    before: LastCheck | None = None
    record: int | None = None
    evidence_uri: str = ""

    @property
    def sentence(self) -> str:
        """The finding in one sentence."""
        return self.judgement.sentence if self.judgement else NOBODY

    @property
    def exit_code(self) -> int:
        """0 promoted or nothing to judge, 1 stopped, 3 going on."""
        return self.judgement.verdict.exit_code if self.judgement else 0

    def to_json(self) -> dict[str, Any]:
        """For programs: the verdict, the shares, samples, estimate and what is missing."""
        if self.trial is None or self.gathered is None or self.judgement is None:
            return {"verdict": None, "sentence": NOBODY, "record": None}
        evidence, judged = self.gathered.evidence, [one.judged for one in self.gathered.compared]
        value = experiment_json(evidence, self.judgement, self.settings, judged, self.gathered.left_out, self.at)
        left = {key: value[key] for key in value if key not in ("schema", "pictures", "settings")}
        last = {"at": self.before.at.isoformat(), "sentence": self.before.sentence} if self.before else None
        more = {"waiting": self.gathered.waiting, "shadows": self.gathered.shadows, "last_check": last}
        return {**left, **more, "record": self.record, "evidence_uri": self.evidence_uri}


def judge_experiment(
    sources: Sources,
    settings: ExperimentSettings,
    out_dir: Path,
    *,
    resume: bool = False,
    expect_record: int | None = None,
    clock: Clock = system_clock,
) -> Check:
    """Check the experiment once and take the step that follows, if any.

    Args:
        sources: of the evidence.
        settings: what is asked.
        out_dir: folder for `experiment.json` and `report.html`; replaced as a whole.
        resume: first take the share back from whoever set it by hand, or begin anew after an invalid test.
        expect_record: number of the ledger's last record that the caller has seen; None when any will do.
        clock: the present.

    Raises:
        InputError: the ledger has gone on since `expect_record`, or there is nothing to resume.
        ConflictError: the share or the challenger changed while the evidence was read; nothing was written.
        ContractError, StorageError: something could not be read or written.
    """
    registry = open_registry(sources.storage_uri, must_exist=True, clock=clock)
    refuse_unexpected(registry, expect_record)
    if resume:
        _resume(registry)
    check = look(sources, settings, registry=registry, clock=clock)
    if check.trial is None or check.gathered is None or check.judgement is None:
        return check
    digest = write_check(out_dir, check)
    if not check.judgement.event:
        _remember(sources, check)
        return check
    folder = f"{folder_of(check.trial)}/{digest}"
    uri = _keep(sources.storage_uri, folder, out_dir)
    record = registry.ledger.append(_decision(check.trial, check.judgement, digest, folder, check))
    # Only now: a check that came too late must not keep the next one from seeing what it saw.
    _remember(sources, check)
    number = record.number if record is not None else None
    return replace(check, record=number, evidence_uri=uri)


def look(
    sources: Sources,
    settings: ExperimentSettings | None = None,
    *,
    registry: Registry | None = None,
    clock: Clock = system_clock,
) -> Check:
    """What a check would find now, without doing anything; errors as `judge_experiment`.

    Args:
        sources: of the evidence.
        settings: what is asked; None asks what the last check asked, or else the defaults.
        registry: of the storage; None opens it.
        clock: the present.
    """
    registry = registry or open_registry(sources.storage_uri, must_exist=True)
    now, trial = clock(), trial_of(registry.ledger.records())
    if trial is None:
        return Check(None, None, None, settings or ExperimentSettings(), now)
    before = remembered(open_store(sources.storage_uri), trial)
    settings = settings or (before.settings if before else ExperimentSettings())
    gathered = gather(sources, registry, trial, settings, now, before)
    return Check(trial, gathered, judge(gathered.evidence, settings, now), settings, now, before)


def write_check(folder: Path, check: Check) -> str:
    """Write `experiment.json` and `report.html`; returns the digest of the former."""
    if check.gathered is None or check.judgement is None:
        raise ValueError("expected a check of an experiment, got one of nothing")
    gathered, judged = check.gathered, [one.judged for one in check.gathered.compared]
    value = experiment_json(gathered.evidence, check.judgement, check.settings, judged, gathered.left_out, check.at)
    with directory_aside(folder) as aside:
        write_json(aside / EXPERIMENT_FILE, value)
        write_experiment_report(aside / REPORT_FILE, gathered, check.judgement, check.settings, check.at)
        return sha256_of_file(aside / EXPERIMENT_FILE)


def refuse_unexpected(registry: Registry, expected: int | None) -> None:
    """Raise InputError when the ledger's last record is not the expected one."""
    found = len(registry.ledger.records()) if expected is not None else None
    if found != expected:
        raise InputError(
            f"the ledger's last record is {found}, expected {expected}: somebody was here since; look at `belisha history` and "
            "judge again"
        )


def _remember(sources: Sources, check: Check) -> None:
    if check.trial is not None and check.gathered is not None:
        last = LastCheck(check.at, check.sentence, check.settings, check.gathered.counted)
        remember(open_store(sources.storage_uri), check.trial, last)


def _decision(
    trial: Trial, judgement: Judgement, digest: str, folder: str, check: Check
) -> Callable[[list[Record], LedgerState], Draft | None]:
    """The step as a record, refused when what it stands on has changed: another judge, a person, a release."""

    def decide(records: list[Record], _: LedgerState) -> Draft | None:
        fresh = trial_of(records)
        if fresh is None or (fresh.name, fresh.last_event_record) != (trial.name, trial.last_event_record):
            raise ConflictError(
                f"the experiment {trial.name} changed while it was judged (record {records[-1].number}: "
                f"{records[-1].draft.reason}): nothing was done; judge again"
            )
        return Draft(
            Action.EXPERIMENT, trial.challenger, judgement.sentence, judgement.state, digest,
            details=_details(trial, judgement, folder, check),
        )  # fmt: skip

    return decide


def _details(trial: Trial, judgement: Judgement, folder: str, check: Check) -> dict[str, Any]:
    evidence = check.gathered.evidence if check.gathered else None
    return {
        EVENT: judgement.event,
        "verdict": judgement.verdict.value,
        "experiment": trial.name,
        "share_ratio_before": trial.share_ratio,
        "share_ratio_after": 1.0 if judgement.verdict is ExperimentVerdict.PROMOTE else _share_after(judgement),
        "evidence": f"{folder}/{EXPERIMENT_FILE}",
        "outcome": outcome_json(evidence, check.settings) if evidence else {},
    }


def _share_after(judgement: Judgement) -> float:
    return judgement.state.challenger_traffic_ratio


def _keep(storage_uri: str, folder: str, out_dir: Path) -> str:
    """Put the evidence where the ledger's record will point to; the same evidence is kept once."""
    store = open_store(storage_uri)
    for name in (EXPERIMENT_FILE, REPORT_FILE):
        try:
            store.create(f"{folder}/{name}", (out_dir / name).read_bytes())
        except AlreadyExistsError:
            continue
    return f"{store.uri}/{folder}"


def _resume(registry: Registry) -> None:
    """Record that the judge has the share again; raises InputError where it has it already."""

    def decide(records: list[Record], state: LedgerState) -> Draft | None:
        trial = trial_of(records)
        if trial is None:
            raise InputError(NOBODY)
        if not trial.held_by and not trial.paused:
            raise InputError(f"the judge has the share of {trial.challenger} already: judge without --resume")
        why = f"{trial.held_by} had set it by hand" if trial.held_by else "it had been paused as invalid"
        reason = f"the experiment with {trial.challenger} goes on: {why}"
        return Draft(Action.EXPERIMENT, trial.challenger, reason, state, details={EVENT: RESUME})

    registry.ledger.append(decide)
