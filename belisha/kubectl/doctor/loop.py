"""Checks of the loop's jobs: do they run, did they last end well, and does KFP answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from belisha.components.shared.errors import ClusterError
from belisha.components.shared.kube_api import Json, RefusedError
from belisha.kubectl.doctor.checks import Finding, Patient, check, failed, passed, unsure

_PARTS = ("drift", "experiment", "review", "retrain")
# A run that is late by that much beyond the last time it was due has failed.
_LATE = timedelta(hours=2)


@check("cron-jobs")
def cron_jobs(patient: Patient) -> Iterator[Finding]:
    """Drift check, judge, review selection and weekly training run by themselves and end well."""
    for part in _PARTS:
        name = patient.own(part)
        found = patient.api.get(patient.resource("batch", "v1", "cronjobs"), name)
        if found is None:
            yield unsure("cron-jobs", f"there is no CronJob {name}", f"turn {part}.enabled on in the chart")
        else:
            yield _cron_job_finding(name, found, patient.now)


def _cron_job_finding(name: str, cron_job: Json, now: datetime) -> Finding:
    status, look = cron_job.get("status") or {}, f"look at `kubectl get jobs` and the logs of the last {name}"
    if cron_job["spec"].get("suspend"):
        return unsure("cron-jobs", f"{name} is suspended", "set suspend to false in the chart")
    due, well = _time_of(status.get("lastScheduleTime")), _time_of(status.get("lastSuccessfulTime"))
    if due is None:
        sentence = f"{name} was never due yet: {cron_job['spec'].get('schedule')}"
        return unsure("cron-jobs", sentence, "wait, or start one by hand")
    if well is None:
        return failed("cron-jobs", f"{name} never ended well; it was last due {_age(due, now)} ago", look)
    if well < due and now - due > _LATE:
        sentence = f"{name} last ended well {_age(well, now)} ago, and was due {_age(due, now)} ago"
        return failed("cron-jobs", sentence, look)
    return passed("cron-jobs", f"{name} last ended well {_age(well, now)} ago")


@check("kfp")
def kfp(patient: Patient) -> Iterator[Finding]:
    """KFP's API answers; asked through the API server, for this machine need not reach it."""
    namespace, _, service = patient.kfp.partition("/")
    path = f"/api/v1/namespaces/{namespace}/services/{service}/proxy/apis/v2beta1/healthz"
    advice = "check kfp.endpoint of the chart and the pods of KFP"
    try:
        found = patient.api.get_path(path)
    except (ClusterError, RefusedError) as error:
        yield failed("kfp", f"KFP at {patient.kfp} does not answer ({error})", advice)
        return
    if found is None:
        yield failed("kfp", f"there is no Service {patient.kfp}", advice)
    else:
        yield passed("kfp", f"KFP answers at {patient.kfp}")


def _time_of(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None


def _age(at: datetime, now: datetime) -> str:
    hours = (now - at).total_seconds() / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"
