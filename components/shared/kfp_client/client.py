"""The calls we make: upload a version, find or make an experiment, submit, list, schedule, stop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from belisha.components.shared.errors import InputError
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.kfp_client.cron import check_cron
from belisha.components.shared.kfp_client.errors import KfpError
from belisha.components.shared.kfp_client.resources import (
    Experiment,
    PipelineVersion,
    RecurringRun,
    Run,
    ServerInfo,
    parse_experiment,
    parse_recurring_run,
    parse_run,
    parse_version,
    text_of,
)
from belisha.components.shared.kfp_client.transport import KfpTransport, segment

_PAGE = "100"
# A server that answers with ever new pages must end in a sentence.
_MOST_PAGES = 1000
MAX_UPLOAD_BYTES = 32 * 2**20
_DIGEST_DIGITS = 16


class KfpClient:
    """The KFP API of one namespace.

    Args:
        transport: where it is and who we are.
        namespace: of a multi-user installation; empty for a standalone one.
        ui: address of the UI, for links; empty where the UI's address is the API's.
    """

    def __init__(self, transport: KfpTransport, namespace: str = "", ui: str = "") -> None:
        self._http = transport
        self._namespace = namespace
        self._ui = ui.rstrip("/") or transport.endpoint

    @property
    def endpoint(self) -> str:
        """Where the API is."""
        return self._http.endpoint

    def url_of(self, run_id: str) -> str:
        """Where people see a run."""
        return f"{self._ui}/#/runs/details/{segment(run_id)}"

    # ---- server

    def server(self) -> ServerInfo:
        """What the server is; raises KfpError when it does not speak version 2 of the API."""
        health = self._http.get("/healthz")
        try:
            version = str(self._http.get("/apis/v1beta1/healthz").get("tag_name") or "")
        except KfpError:
            version = ""
        return ServerInfo(version=version, multi_user=health.get("multi_user") is True)

    def server_time(self) -> datetime | None:
        """The server's clock, to the second, UTC; None when its answers bear no date. Raises KfpError."""
        self._http.get("/healthz")
        return self._http.answered_at

    # ---- pipelines

    def find_pipeline(self, name: str) -> str | None:
        """Id of the pipeline of that name; None when there is none. Raises KfpError."""
        try:
            value = self._http.get(f"/pipelines/names/{segment(name)}", self._in_namespace())
        except KfpError as error:
            if error.status == 404:
                return None
            raise
        return text_of(value, "pipeline_id")

    def upload_version(self, pipeline: str, data: bytes, description: str = "") -> tuple[PipelineVersion, bool]:
        """Upload a compiled pipeline unless these very bytes are there: the version is named by their digest.

        Args:
            pipeline: its name; made when missing.
            data: the YAML.
            description: for the version.

        Returns:
            The version, and whether it was uploaded now.

        Raises:
            InputError: the file is larger than KFP takes.
            KfpError: the server refused, or was away.
        """
        if len(data) > MAX_UPLOAD_BYTES:
            raise InputError(f"the pipeline has {len(data)} bytes, KFP takes {MAX_UPLOAD_BYTES}: make it smaller")
        name = version_name(data)
        pipeline_id = self.find_pipeline(pipeline) or self._make_pipeline(pipeline)
        found = self.find_version(pipeline_id, name)
        if found is not None:
            return found, False
        query = {"name": name, "pipelineid": pipeline_id, "description": description}
        try:
            return parse_version(self._http.upload("/pipelines/upload_version", query, f"{name}.yaml", data)), True
        except KfpError as error:
            # Somebody else uploaded the same, or we did and the answer was lost.
            found = self.find_version(pipeline_id, name) if error.status == 409 or error.maybe_done else None
            if found is None:
                raise
            return found, False

    def find_version(self, pipeline_id: str, name: str) -> PipelineVersion | None:
        """The version of that name; None when there is none. Raises KfpError."""
        return next((version for version in self.versions(pipeline_id) if version.name == name), None)

    def versions(self, pipeline_id: str) -> Iterator[PipelineVersion]:
        """The versions of a pipeline, newest first; raises KfpError."""
        path = f"/pipelines/{segment(pipeline_id)}/versions"
        return map(parse_version, self._pages(path, "pipeline_versions", {"sort_by": "created_at desc"}))

    def newest_version(self, pipeline: str) -> PipelineVersion:
        """The version that was uploaded last; raises InputError when there is none, KfpError."""
        pipeline_id = self.find_pipeline(pipeline)
        found = next(self.versions(pipeline_id), None) if pipeline_id else None
        if found is None:
            raise InputError(
                f"KFP at {self.endpoint} has no pipeline {pipeline!r}: run `belisha pipeline upload` first"
            )
        return found

    def _make_pipeline(self, name: str) -> str:
        body = {"name": name, "display_name": name, "description": "Made by belisha.", **self._in_namespace()}
        try:
            return text_of(self._http.post("/pipelines", body), "pipeline_id")
        except KfpError as error:
            found = self.find_pipeline(name) if error.status == 409 or error.maybe_done else None
            if found is None:
                raise
            return found

    # ---- experiments

    def experiment(self, name: str) -> Experiment:
        """The experiment of that name, made when missing; raises KfpError."""
        found = self.find_experiment(name)
        if found is not None:
            return found
        body = {"display_name": name, "description": "Made by belisha.", **self._in_namespace()}
        try:
            return parse_experiment(self._http.post("/experiments", body))
        except KfpError as error:
            found = self.find_experiment(name) if error.status == 409 or error.maybe_done else None
            if found is None:
                raise
            return found

    def find_experiment(self, name: str) -> Experiment | None:
        """The experiment of that name; None when there is none. Raises KfpError."""
        query = {"filter": name_filter(name), **self._in_namespace()}
        found = map(parse_experiment, self._pages("/experiments", "experiments", query))
        return next((one for one in found if one.name == name), None)

    # ---- runs

    def submit(
        self,
        name: str,
        version: PipelineVersion,
        parameters: Mapping[str, Any],
        *,
        experiment_id: str,
        pipeline_root: str = "",
        service_account: str = "",
    ) -> Run:
        """Start a run of an uploaded version. Caching is what the version says, task by task: a request cannot change that.

        Raises:
            KfpError: with `maybe_done` when the run may have been started although no answer came.
        """
        reference = {"pipeline_id": version.pipeline_id, "pipeline_version_id": version.version_id}
        body = {"pipeline_version_reference": reference}
        return self._submit(name, body, parameters, experiment_id, pipeline_root, service_account)

    def submit_package(
        self,
        name: str,
        package: Mapping[str, Any],
        parameters: Mapping[str, Any],
        *,
        experiment_id: str,
        pipeline_root: str = "",
        service_account: str = "",
    ) -> Run:
        """Start a run of a pipeline that travels with the request: the one way to switch caching off for a run.

        Args:
            name: of the run.
            package: `pipeline_spec` and `platform_spec`, see `package.py`.
            parameters: of the pipeline.
            experiment_id: that it belongs to.
            pipeline_root: where artifacts go; empty for the server's default.
            service_account: of its pods; empty for the server's default.

        Raises:
            KfpError: as `submit`.
        """
        return self._submit(
            name, {"pipeline_spec": dict(package)}, parameters, experiment_id, pipeline_root, service_account
        )

    def _submit(
        self,
        name: str,
        what: Mapping[str, Any],
        parameters: Mapping[str, Any],
        experiment_id: str,
        pipeline_root: str,
        service_account: str,
    ) -> Run:
        body = {
            "display_name": name,
            "experiment_id": experiment_id,
            **what,
            "runtime_config": _runtime(parameters, pipeline_root),
            **({"service_account": service_account} if service_account else {}),
        }
        return parse_run(self._http.post("/runs", body))

    def run(self, run_id: str) -> Run:
        """One run; raises KfpError, with status 404 when there is none."""
        return parse_run(self._http.get(f"/runs/{segment(run_id)}"))

    def runs(self, *, experiment_id: str = "", name: str = "") -> Iterator[Run]:
        """Runs, newest first, of one experiment and of one name where they are given; raises KfpError."""
        query = {"sort_by": "created_at desc", **self._in_namespace()}
        if experiment_id:
            query = {"sort_by": "created_at desc", "experiment_id": experiment_id}
        if name:
            query["filter"] = name_filter(name)
        found = map(parse_run, self._pages("/runs", "runs", query))
        return (run for run in found if not name or run.name == name)

    def terminate(self, run_id: str) -> None:
        """Stop a run; raises KfpError."""
        self._http.post(f"/runs/{segment(run_id)}:terminate")

    # ---- schedules

    def schedule(
        self,
        name: str,
        cron: str,
        version: PipelineVersion,
        parameters: Mapping[str, Any],
        *,
        experiment_id: str,
        pipeline_root: str = "",
        service_account: str = "",
    ) -> tuple[RecurringRun, bool]:
        """Start runs by the clock, one at a time, without making up for missed times; a schedule of that name is kept as it is.

        Returns:
            The schedule, and whether it was made now.

        Raises:
            InputError: the cron has not six fields, or a schedule of that name has another one.
            KfpError: the server refused, or was away.
        """
        cron = check_cron(cron)
        found = self._same_schedule(name, cron, experiment_id)
        if found is not None:
            return found, False
        body = {
            "display_name": name,
            "experiment_id": experiment_id,
            "pipeline_version_reference": {
                "pipeline_id": version.pipeline_id,
                "pipeline_version_id": version.version_id,
            },
            "runtime_config": _runtime(parameters, pipeline_root),
            "trigger": {"cron_schedule": {"cron": cron}},
            "max_concurrency": "1",
            "no_catchup": True,
            "mode": "ENABLE",
            **({"service_account": service_account} if service_account else {}),
            **self._in_namespace(),
        }
        try:
            return parse_recurring_run(self._http.post("/recurringruns", body)), True
        except KfpError as error:
            found = self._same_schedule(name, cron, experiment_id) if error.status == 409 or error.maybe_done else None
            if found is None:
                raise
            return found, False

    def recurring_runs(self, *, experiment_id: str = "", name: str = "") -> Iterator[RecurringRun]:
        """Schedules, of one experiment and of one name where they are given; raises KfpError."""
        query = {"experiment_id": experiment_id} if experiment_id else self._in_namespace()
        if name:
            query["filter"] = name_filter(name)
        found = map(parse_recurring_run, self._pages("/recurringruns", "recurringRuns", query))
        return (one for one in found if not name or one.name == name)

    def delete_recurring_run(self, recurring_run_id: str) -> None:
        """Remove a schedule; raises KfpError."""
        self._http.delete(f"/recurringruns/{segment(recurring_run_id)}")

    def _same_schedule(self, name: str, cron: str, experiment_id: str) -> RecurringRun | None:
        found = next(self.recurring_runs(experiment_id=experiment_id, name=name), None)
        if found is not None and found.cron != cron:
            raise InputError(
                f"the schedule {name!r} exists with {found.cron!r} instead of {cron!r}: "
                "delete it in the KFP UI or use another name"
            )
        return found

    # ---- pages

    def _in_namespace(self) -> dict[str, str]:
        return {"namespace": self._namespace} if self._namespace else {}

    def _pages(self, path: str, key: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        token, seen = "", set[str]()
        for _ in range(_MOST_PAGES):
            page = self._http.get(path, {"page_size": _PAGE, **query, **({"page_token": token} if token else {})})
            yield from _objects(page, key)
            token = text_of(page, "next_page_token", required=False)
            if not token:
                return
            if token in seen:
                break
            seen.add(token)
        raise KfpError(f"KFP at {self.endpoint} answers {path} without end: it gives the same pages again", status=501)


def version_name(data: bytes) -> str:
    """Name of the version that has this content."""
    return f"sha256-{sha256_hex(data)[:_DIGEST_DIGITS]}"


def name_filter(name: str) -> str:
    """KFP's filter for one display name."""
    predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
    return json.dumps({"predicates": [predicate]})


def _runtime(parameters: Mapping[str, Any], pipeline_root: str) -> dict[str, Any]:
    return {"parameters": dict(parameters), **({"pipeline_root": pipeline_root} if pipeline_root else {})}


def _objects(page: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = page.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise KfpError(f"KFP answered {key!r} that is no list of objects: is it version 2 of the API?", status=501)
    return found
