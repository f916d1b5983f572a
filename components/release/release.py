"""Register a candidate with its evidence, and let the policy say what becomes of it; promotion and rollback by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from belisha.components.release import policy
from belisha.components.shared.errors import ContractError, InputError
from belisha.components.shared.evaluation_artifact import read_metrics
from belisha.components.shared.files import read_json, sha256_of_file
from belisha.components.shared.ledger import Action, Draft, LedgerState, Record
from belisha.components.shared.model_artifact import read_model_info
from belisha.components.shared.registry import MODEL_PART, Candidate, ModelVersion, Registry, open_registry
from belisha.components.shared.verdict import DECISION_FILE, DECISION_SCHEMA, Verdict


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """What a release, a promotion or a rollback did.

    Attributes:
        version: the model version it is about.
        action: the ledger's word for it; None when nothing had to be done.
        sentence: what was done, for people.
        state: who serves now.
        record: number of the ledger's last record.
    """

    version: str
    action: Action | None
    sentence: str
    state: LedgerState
    record: int


def release(model_dir: Path, evaluation_dir: Path, decision_dir: Path, storage_uri: str, run_id: str) -> ReleaseOutcome:
    """Register the model with its evaluation and decision, whatever the verdict, and record what it becomes.

    A model that passed becomes champion when there is none, else challenger without traffic; any other is kept and refused.
    Running it again, even after a kill, gives the same version and adds no record.

    Raises:
        ContractError, DigestError: a folder is not whole, or the decision is about another model.
        StorageError: the store failed; run it again.
    """
    candidate = _candidate(model_dir, evaluation_dir, decision_dir, run_id)
    registry = open_registry(storage_uri)
    folders = {MODEL_PART: model_dir, "evaluation": evaluation_dir, "decision": decision_dir}
    version = registry.add(candidate, folders)
    registry.ledger.append(lambda records, state: policy.registration(records, state, version))
    registry.ledger.append(lambda records, state: policy.outcome(records, state, version))
    return _outcome_of(registry, version)


def promote(
    storage_uri: str, version: str | None, *, reason: str, force: bool = False, expect_record: int | None = None
) -> ReleaseOutcome:
    """Make a version, by default the challenger, champion.

    Args:
        storage_uri: where the registry is.
        version: `v1`, …; None for the challenger.
        reason: why, for the record; required with `force`.
        force: also a version that did not pass its gates.
        expect_record: number of the last record that the caller has seen; None when any will do.

    Raises:
        InputError: there is no such version, it did not pass, or somebody was there since `expect_record`.
    """
    registry = open_registry(storage_uri, must_exist=True)
    # The champion may change under our feet, but versions never do: so reading them inside a repeated decision is safe.
    return apply_move(
        registry,
        lambda _, state: policy.promotion(
            state, registry.version(version_to_promote(version, state)), reason, force=force
        ),
        expect_record,
    )


def version_to_promote(version: str | None, state: LedgerState) -> str:
    """The version that was named, else the challenger; raises InputError when there is neither."""
    if version is None and state.challenger is None:
        raise InputError("there is no challenger to promote: name a version, e.g. `belisha promote v2`")
    return version or str(state.challenger)


def split(
    storage_uri: str, challenger_traffic_ratio: float, *, reason: str, expect_record: int | None = None
) -> ReleaseOutcome:
    """Give the challenger a share of requests, 0..1; arguments and errors as `promote`."""
    registry = open_registry(storage_uri, must_exist=True)
    return apply_move(registry, lambda _, state: policy.share(state, challenger_traffic_ratio, reason), expect_record)


def rollback(storage_uri: str, *, reason: str, expect_record: int | None = None) -> ReleaseOutcome:
    """End the challenger's trial if there is one, else restore the champion before; arguments and errors as `promote`."""
    registry = open_registry(storage_uri, must_exist=True)
    return apply_move(registry, lambda records, state: policy.rollback(records, state, reason), expect_record)


def apply_move(
    registry: Registry, decide: Callable[[list[Record], LedgerState], policy.Move], expect_record: int | None = None
) -> ReleaseOutcome:
    """Record what a policy decides, again after every lost race; raises what `decide` raises, InputError, StorageError."""
    moves: list[policy.Move] = []

    def drafted(records: list[Record], state: LedgerState) -> Draft | None:
        moves.append(decide(records, state))
        return moves[-1].draft

    record = registry.ledger.append(drafted, expect_number=expect_record)
    if record is not None:
        return ReleaseOutcome(
            record.draft.subject, record.draft.action, moves[-1].sentence, record.state, record.number
        )
    records = registry.ledger.records()
    state = records[-1].state if records else LedgerState()
    return ReleaseOutcome(state.champion or "", None, moves[-1].sentence, state, len(records))


def _candidate(model_dir: Path, evaluation_dir: Path, decision_dir: Path, run_id: str) -> Candidate:
    info = read_model_info(model_dir)
    decision = read_json(decision_dir / DECISION_FILE, schema=DECISION_SCHEMA)
    read_metrics(evaluation_dir)
    if decision.get("model_digest") != info.digest:
        raise ContractError(
            f"{decision_dir / DECISION_FILE} is about model {decision.get('model_digest')}, not {info.digest} of {model_dir}: "
            "compare this model first"
        )
    return Candidate(
        model_digest=info.digest,
        run_id=run_id,
        verdict=_verdict_of(decision, decision_dir),
        sentence=str(decision.get("sentence", "")),
        champion=str((decision.get("champion") or {}).get("version", "")),
        decision_digest=sha256_of_file(decision_dir / DECISION_FILE),
        dataset_digest=info.dataset_digest,
        split_digest=info.split_digest,
        metrics={name: float(value) for name, value in (decision.get("metrics") or {}).items()},
    )


def _verdict_of(decision: dict[str, Any], folder: Path) -> str:
    try:
        return Verdict(str(decision.get("verdict"))).value
    except ValueError:
        raise ContractError(
            f"{folder / DECISION_FILE} has verdict {decision.get('verdict')!r}, expected one of {', '.join(Verdict)}: "
            "compare again"
        ) from None


def _outcome_of(registry: Registry, version: ModelVersion) -> ReleaseOutcome:
    """What the ledger says became of a version, whether this call or one before recorded it."""
    records = registry.ledger.records()
    mine = [record for record in records if record.draft.subject == version.version]
    last = next(record for record in reversed(mine) if record.draft.run_id == version.run_id)
    return ReleaseOutcome(version.version, last.draft.action, last.draft.reason, records[-1].state, records[-1].number)
