"""Around the check: who is champion, which reference, what becomes of the finding. Running it twice changes nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from belisha.components.drift.alerting import AlertOutcome, AlertState, alert_from, foreseen, record_alert
from belisha.components.drift.check import DriftCheck, Evidence, check_drift
from belisha.components.drift.drift_file import DRIFT_FILE, REPORT_FILE, drift_to_json
from belisha.components.drift.freezing import FreezeRequest, reference_from_log
from belisha.components.drift.reference_choice import read_reference, reference_of
from belisha.components.drift.settings import DriftSettings
from belisha.components.drift.telling import metrics_of, metrics_of_failure
from belisha.components.shared.drift_reference import Reference, freeze
from belisha.components.shared.errors import BelishaError, InputError, StorageError
from belisha.components.shared.files import write_bytes_atomic, write_json
from belisha.components.shared.ledger import Clock, system_clock
from belisha.components.shared.progress import ProgressSink
from belisha.components.shared.registry import Registry, open_registry
from belisha.components.shared.storage import join_uri, open_store

REPORTS_PREFIX = "drift/reports"
PICTURES_FOLDER = "pictures"


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What to check.

    Attributes:
        storage_uri: of registry, ledger, references and alerts.
        log_uri: of the request log; empty for the storage.
        reference_dir: compare with this reference instead of the champion's own.
        deployment_name: for metrics and alerts.
        until: predictions before it count; None for now.
        settings: what to go by.
        record: whether an alert is written to the ledger.
        out_dir: where `drift.json` and `report.html` are written, too; None for nowhere.
        report_file: where the report alone is written, too; None for nowhere.
    """

    storage_uri: str
    log_uri: str = ""
    reference_dir: Path | None = None
    deployment_name: str = "belisha"
    until: datetime | None = None
    settings: DriftSettings = field(default_factory=DriftSettings)
    record: bool = True
    out_dir: Path | None = None
    report_file: Path | None = None


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a check found and did: the finding, `drift.json`, what became of the alert, and what went wrong beside it."""

    check: DriftCheck
    drift: dict[str, Any]
    alert: AlertOutcome
    warnings: tuple[str, ...] = ()


def run_check(request: CheckRequest, progress: ProgressSink, clock: Clock = system_clock) -> CheckOutcome:
    """Check the champion's last predictions, record a confirmed alert once, write the report, push the metrics.

    Raises:
        InputError: there is no champion or no reference.
        ContractError, StorageError: the log, the reference or the ledger cannot be read or written.
    """
    try:
        check, evidence, registry = _checked(request, progress, clock)
        drift = drift_to_json(check)
        outcome = _recorded(request, check, evidence, drift, registry)
        _publish(request, check, evidence, drift)
    except BelishaError:
        _push(lambda: metrics_of_failure(request.deployment_name).push_if_configured(replace=False))
        raise
    warnings = _push(lambda: metrics_of(check, clock()).push_if_configured())
    return CheckOutcome(check, drift, outcome, warnings)


@dataclass(frozen=True, slots=True)
class FrozenReference:
    """A reference that was frozen: of which version, where it lies, and what it is."""

    model_version: str
    uri: str
    reference: Reference


def freeze_reference(
    storage_uri: str,
    log_uri: str,
    days: float,
    progress: ProgressSink,
    *,
    min_pictures: int = 3000,
    gap_seconds: float | None = None,
    until: datetime | None = None,
    clock: Clock = system_clock,
) -> FrozenReference:
    """Freeze the champion's reference from the last days of the request log; later checks compare with it.

    Raises:
        InputError: there is no champion.
        NoDataError: too few pictures.
    """
    end = until or clock()
    version = _champion(open_registry(storage_uri, must_exist=True), storage_uri)
    request = FreezeRequest(version, end - timedelta(days=days), end, min_pictures, gap_seconds)
    reference = reference_from_log(open_store(log_uri or storage_uri), request, progress)
    store = open_store(storage_uri)
    key, digest = freeze(store, version, reference, clock())
    frozen = Reference(reference.source, reference.gap_seconds, reference.rows, digest)
    return FrozenReference(version, f"{store.uri}/{key}", frozen)


def current_reference(storage_uri: str) -> tuple[str, Reference]:
    """The champion and the reference that a check would compare with; raises InputError."""
    registry = open_registry(storage_uri, must_exist=True)
    version = _champion(registry, storage_uri)
    return version, reference_of(version, open_store(storage_uri), registry)


def _checked(request: CheckRequest, progress: ProgressSink, clock: Clock) -> tuple[DriftCheck, Evidence, Registry]:
    registry = open_registry(request.storage_uri, must_exist=True, clock=clock)
    version = _champion(registry, request.storage_uri)
    if request.reference_dir is not None:
        reference = read_reference(request.reference_dir)
    else:
        reference = reference_of(version, open_store(request.storage_uri), registry)
    check, evidence = check_drift(
        open_store(request.log_uri or request.storage_uri), reference, request.settings, progress,
        model_version=version, deployment_name=request.deployment_name, until=request.until or clock(),
    )  # fmt: skip
    return check, evidence, registry


def _recorded(
    request: CheckRequest, check: DriftCheck, evidence: Evidence, drift: dict[str, Any], registry: Registry
) -> AlertOutcome:
    """Put the report into storage, then the record that names it into the ledger: what has a record is whole."""
    digest = str(drift["digest"])
    alert = alert_from(check, join_uri(request.storage_uri, REPORTS_PREFIX, digest))
    if alert is None:
        return AlertOutcome(AlertState.NONE)
    if not request.record:
        return AlertOutcome(AlertState.NOT_RECORDED, alert, sentence="the alert was not recorded, as asked")
    outcome = foreseen(registry.ledger, alert)
    if outcome.state is not AlertState.RECORDED:
        return outcome
    store = open_store(request.storage_uri)
    with tempfile.TemporaryDirectory(prefix="belisha-drift-") as folder:
        _write(Path(folder), request, check, evidence, drift)
        for name in (REPORT_FILE, DRIFT_FILE):
            store.write(f"{REPORTS_PREFIX}/{digest}/{name}", (Path(folder) / name).read_bytes())
    return record_alert(registry.ledger, alert, digest)


def _write(folder: Path, request: CheckRequest, check: DriftCheck, evidence: Evidence, drift: dict[str, Any]) -> None:
    from belisha.components.drift.report import write_drift_report

    folder.mkdir(parents=True, exist_ok=True)
    write_drift_report(folder, check, evidence, join_uri(request.storage_uri, PICTURES_FOLDER))
    write_json(folder / DRIFT_FILE, drift)


def _publish(request: CheckRequest, check: DriftCheck, evidence: Evidence, drift: dict[str, Any]) -> None:
    """Where the user wants to have it."""
    if request.out_dir is not None:
        _write(request.out_dir, request, check, evidence, drift)
    if request.report_file is not None:
        with tempfile.TemporaryDirectory(prefix="belisha-drift-") as folder:
            _write(Path(folder), request, check, evidence, drift)
            write_bytes_atomic(request.report_file, (Path(folder) / REPORT_FILE).read_bytes())


def _champion(registry: Registry, storage_uri: str) -> str:
    champion = registry.ledger.state().champion
    if champion is None:
        raise InputError(f"nobody is champion at {storage_uri}, so there is nothing to watch: release a model first")
    return champion


def _push(push: Callable[[], None]) -> tuple[str, ...]:
    """A Pushgateway that is away must not hide what was found."""
    try:
        push()
    except StorageError as error:
        return (str(error),)
    return ()
