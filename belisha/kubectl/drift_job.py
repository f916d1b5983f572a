"""One run of the chart's drift CronJob, at once."""

from __future__ import annotations

import time
import uuid
from typing import Any

from belisha.cli.output import print_sentence
from belisha.components.shared.errors import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_OK, InputError
from belisha.components.shared.kube_api import Json, ResourcePath
from belisha.kubectl.options import DryRun, Output
from belisha.kubectl.place import Place
from belisha.kubectl.printers import print_value

_LOOK_SECONDS = 2.0


def job_of(cron_job: Json, suffix: str) -> dict[str, Any]:
    """A Job as the CronJob would make it, owned by it: pure."""
    metadata, template = cron_job["metadata"], cron_job["spec"]["jobTemplate"]
    annotations = {
        **((template.get("metadata") or {}).get("annotations") or {}),
        "cronjob.kubernetes.io/instantiate": "manual",
    }
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": metadata["name"], "uid": metadata.get("uid", "")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            # A Job's pods add six characters, and a label holds 63.
            "name": f"{metadata['name'][:45]}-{suffix}",
            "namespace": metadata.get("namespace", ""),
            "labels": (template.get("metadata") or {}).get("labels") or {},
            "annotations": annotations,
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
    }


def check_now(place: Place, *, dry_run: DryRun, output: Output, watch: bool, timeout_seconds: float) -> int:
    """Start the Job, or pretend to; wait for it where asked. Gives the exit code.

    Raises:
        InputError: the chart has no drift CronJob.
    """
    name = f"{place.name}-drift"
    cron_job = place.api.get(ResourcePath("batch", "v1", "cronjobs", place.namespace), name)
    if cron_job is None:
        raise InputError(
            f"namespace {place.namespace} has no CronJob {name}: install the chart with drift.enabled=true"
        )
    job, jobs = (
        job_of(cron_job, f"by-hand-{uuid.uuid4().hex[:5]}"),
        ResourcePath("batch", "v1", "jobs", place.namespace),
    )
    if dry_run is not DryRun.NONE:
        shown = place.api.create(jobs, job, dry_run=True) if dry_run is DryRun.SERVER else job
        print_value(shown, Output.YAML if output is Output.TABLE else output)
        return EXIT_OK
    started = place.api.create(jobs, job)
    print_sentence(f"Job {started['metadata']['name']} was started in {place.namespace}")
    if not watch:
        if output is not Output.TABLE:
            print_value({"job": started["metadata"]["name"], "state": "started"}, output)
        return EXIT_OK
    return _wait(place, jobs, str(started["metadata"]["name"]), output, timeout_seconds)


def state_of(job: Json) -> str:
    """`complete`, `failed` or `running`."""
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
            return str(condition["type"]).lower()
    return "running"


def _wait(place: Place, jobs: ResourcePath, name: str, output: Output, timeout_seconds: float) -> int:
    end = time.monotonic() + timeout_seconds if timeout_seconds else float("inf")
    while True:
        job = place.api.get(jobs, name)
        state = "gone" if job is None else state_of(job)
        if state != "running" or time.monotonic() >= end:
            break
        time.sleep(_LOOK_SECONDS)
    found = _last_words(place, name)
    if output is Output.TABLE:
        print_sentence(f"Job {name} is {state}{f': {found}' if found else ''}")
    else:
        print_value({"job": name, "state": state, "said": found}, output)
    return {"complete": EXIT_OK, "running": EXIT_INCONCLUSIVE}.get(state, EXIT_FAILED)


def _last_words(place: Place, job: str) -> str:
    """The last line that the Job's newest pod wrote; empty when there is none to read."""
    pods = ResourcePath("", "v1", "pods", place.namespace)
    found = place.api.list(pods, labels=f"job-name={job}")
    if not found:
        return ""
    newest = max(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    text = place.api.get_text(f"{pods.path(newest['metadata']['name'])}/log", tailLines="1")
    return text.strip()
