"""`belisha pipeline`: upload, submit, schedule, wait and list on Kubeflow Pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from belisha.cli.kfp_options import Endpoint, Experiment, Namespace, Pipeline, PipelineRoot, ServiceAccount, TokenFile
from belisha.cli.output import console, print_json, print_sentence
from belisha.cli.release_options import Json

if TYPE_CHECKING:
    from belisha.components.shared.kfp_client import KfpClient, PipelineVersion, Run

_CODES = "Exit codes: 0 done, 1 the run ended badly, 2 bad input or refused, 75 Kubeflow Pipelines is away, try again."
_UPLOAD_EXAMPLES = f"""
Examples:

    belisha pipeline upload --kfp-endpoint http://ml-pipeline.kubeflow:8888

    belisha pipeline upload --file training.yaml --pipeline belisha-training --json

The same content is uploaded once: a version is named by its digest. {_CODES}
"""
_SUBMIT_EXAMPLES = f"""
Examples:

    belisha pipeline submit --set storage_uri=s3://bucket/belisha --set 'data_sources=["s3://bucket/train.zip"]' --wait

    belisha pipeline submit --name nightly --parameters parameters.yaml --no-cache

Without --no-cache each step caches as the pipeline says. {_CODES}
"""
_SCHEDULE_EXAMPLES = f"""
Examples:

    belisha pipeline schedule --name weekly --cron "0 0 3 * * 1" --set storage_uri=s3://bucket/belisha

Six fields, seconds first, UTC. Missed times are not made up for, and one run goes at a time. {_CODES}
"""
_WAIT_EXAMPLES = f"""
Examples:

    belisha pipeline wait 5b1f2c3d-… --timeout 7200

{_CODES}
"""
_LIST_EXAMPLES = f"""
Examples:

    belisha pipeline list

    belisha pipeline list --name retrain-weekly-2026-W47 --json

{_CODES}
"""
File = Annotated[Path | None, typer.Option("--file", help="Compiled pipeline; by default the one in this package.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A parameter of the pipeline as NAME=VALUE.")]
Parameters = Annotated[Path | None, typer.Option(help="YAML or JSON file with parameters of the pipeline.")]
_DEFAULT_PIPELINE, _DEFAULT_EXPERIMENT = "belisha-training", "belisha"


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="The training pipeline on Kubeflow Pipelines.", no_args_is_help=True)
    group.command(name="upload", epilog=_UPLOAD_EXAMPLES)(_upload)
    group.command(name="submit", epilog=_SUBMIT_EXAMPLES)(_submit)
    group.command(name="schedule", epilog=_SCHEDULE_EXAMPLES)(_schedule)
    group.command(name="wait", epilog=_WAIT_EXAMPLES)(_wait)
    group.command(name="list", epilog=_LIST_EXAMPLES)(_list)
    app.add_typer(group, name="pipeline")


def _upload(
    kfp_endpoint: Endpoint = "",
    kfp_namespace: Namespace = "",
    kfp_token_file: TokenFile = "",
    pipeline: Pipeline = _DEFAULT_PIPELINE,
    file: File = None,
    description: Annotated[str, typer.Option(help="Shown beside the version.")] = "",
    json: Json = False,
) -> None:
    """Upload the compiled pipeline as a version, unless this content is there."""
    client = _client(kfp_endpoint, kfp_namespace, kfp_token_file)
    data = _package(file)
    warnings = _preflight(client, data)
    version, new = client.upload_version(pipeline, data, description)
    if json:
        print_json({**_version_json(version), "pipeline": pipeline, "uploaded": new, "warnings": warnings})
    else:
        print_sentence(
            f"{pipeline} {version.name} {'was uploaded' if new else 'is there already'} ({version.version_id})"
        )


def _submit(
    kfp_endpoint: Endpoint = "",
    kfp_namespace: Namespace = "",
    kfp_token_file: TokenFile = "",
    pipeline: Pipeline = _DEFAULT_PIPELINE,
    experiment: Experiment = _DEFAULT_EXPERIMENT,
    name: Annotated[str, typer.Option(help="Name of the run; by default made of the version's.")] = "",
    parameters: Parameters = None,
    settings: Settings = None,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache", help="Let steps reuse former results, or send the pipeline without caching."
        ),
    ] = True,
    file: File = None,
    pipeline_root: PipelineRoot = "",
    service_account: ServiceAccount = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the run's end.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 86_400.0,
    json: Json = False,
) -> None:
    """Start a run of the newest uploaded version; without caching the pipeline itself travels with the request."""
    from belisha.components.shared.kfp_client.package import parse_package, without_caching

    client = _client(kfp_endpoint, kfp_namespace, kfp_token_file)
    arguments = _arguments(parameters, settings)
    where: dict[str, Any] = {"pipeline_root": pipeline_root, "service_account": service_account}
    if cache and file is None:
        version = client.newest_version(pipeline)
        where["experiment_id"] = client.experiment(experiment).experiment_id
        run = client.submit(name or f"{pipeline}-{version.name}", version, arguments, **where)
    else:
        package = parse_package(_package(file))
        where["experiment_id"] = client.experiment(experiment).experiment_id
        package = package if cache else without_caching(package)
        run = client.submit_package(name or pipeline, package, arguments, **where)
    _after_start(client, run, wait=wait, timeout=timeout, json=json)


def _schedule(
    cron: Annotated[str, typer.Option(help="Six fields, seconds first, UTC: '0 0 3 * * 1' is Monday at 03:00.")],
    kfp_endpoint: Endpoint = "",
    kfp_namespace: Namespace = "",
    kfp_token_file: TokenFile = "",
    pipeline: Pipeline = _DEFAULT_PIPELINE,
    experiment: Experiment = _DEFAULT_EXPERIMENT,
    name: Annotated[
        str, typer.Option(help="Name of the schedule; one of that name is kept as it is.")
    ] = "belisha-weekly",
    parameters: Parameters = None,
    settings: Settings = None,
    pipeline_root: PipelineRoot = "",
    service_account: ServiceAccount = "",
    json: Json = False,
) -> None:
    """Start runs by the clock, one at a time, without making up for missed ones.

    `belisha retrain weekly` does the same within the policy's budget, and records the cause in the ledger.
    """
    from belisha.components.shared.kfp_client.cron import check_cron

    cron = check_cron(cron)
    arguments = _arguments(parameters, settings)
    client = _client(kfp_endpoint, kfp_namespace, kfp_token_file)
    version = client.newest_version(pipeline)
    made, new = client.schedule(
        name,
        cron,
        version,
        arguments,
        experiment_id=client.experiment(experiment).experiment_id,
        pipeline_root=pipeline_root,
        service_account=service_account,
    )
    if json:
        print_json({"recurring_run_id": made.recurring_run_id, "name": name, "cron": made.cron, "made": new})
    else:
        print_sentence(f"the schedule {name} ({made.cron}, UTC) {'was made' if new else 'is there already'}")


def _wait(
    run_id: Annotated[str, typer.Argument(help="The run's id, as submit and list show it.")],
    kfp_endpoint: Endpoint = "",
    kfp_namespace: Namespace = "",
    kfp_token_file: TokenFile = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 86_400.0,
    json: Json = False,
) -> None:
    """Wait until a run has ended, whichever way."""
    client = _client(kfp_endpoint, kfp_namespace, kfp_token_file)
    _after_start(client, client.run(run_id), wait=True, timeout=timeout, json=json)


def _list(
    kfp_endpoint: Endpoint = "",
    kfp_namespace: Namespace = "",
    kfp_token_file: TokenFile = "",
    experiment: Experiment = _DEFAULT_EXPERIMENT,
    name: Annotated[str, typer.Option(help="Only runs of that name.")] = "",
    last: Annotated[int, typer.Option(min=1, help="As many of the newest.")] = 20,
    json: Json = False,
) -> None:
    """Show the newest runs, and what the server is."""
    import itertools

    client = _client(kfp_endpoint, kfp_namespace, kfp_token_file)
    server, found = client.server(), client.find_experiment(experiment)
    runs = list(itertools.islice(client.runs(experiment_id=found.experiment_id, name=name), last)) if found else []
    if json:
        shown = {"version": server.version, "multi_user": server.multi_user}
        print_json({"server": shown, "runs": [_run_json(run) for run in runs]})
        return
    _print_table(runs)
    print_sentence(f"Kubeflow Pipelines {server.version or 'of a version that it does not tell'} at {client.endpoint}")


def _client(endpoint: str, namespace: str, token: str) -> KfpClient:
    from belisha.retraining.config import KfpConfig
    from belisha.retraining.kfp_access import client_of

    return client_of(KfpConfig(endpoint=endpoint, namespace=namespace, token_file=token))


def _package(file: Path | None) -> bytes:
    from belisha.components.shared.errors import InputError
    from belisha.components.shared.kfp_client.package import parse_package
    from belisha.pipelines.compiling import compiled_path

    try:
        data = (file or compiled_path()).read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): give a compiled pipeline") from None
    parse_package(data)
    return data


def _preflight(client: KfpClient, data: bytes) -> list[str]:
    """Say when the server is older than what compiled the pipeline: it then refuses fields that it does not know."""
    from belisha.components.shared.kfp_client.package import parse_package, sdk_version
    from belisha.components.shared.kfp_client.versions import too_old

    found, needed = client.server().version, sdk_version(parse_package(data))
    if not too_old(found, needed):
        return []
    warning = (
        f"the server is version {found}, the pipeline was compiled by kfp {needed}: "
        "it may refuse fields that it does not know"
    )
    print_sentence(f"warning: {warning}")
    return [warning]


def _arguments(file: Path | None, settings: list[str] | None) -> dict[str, Any]:
    import yaml

    from belisha.components.shared.errors import InputError
    from belisha.pipelines.arguments import pipeline_arguments, refuse_unknown_names

    try:
        given = (yaml.safe_load(file.read_bytes()) or {}) if file else {}
    except (OSError, yaml.YAMLError) as error:
        raise InputError(
            f"{file} cannot be read ({str(error).splitlines()[0]}): give parameters as YAML or JSON"
        ) from None
    if not isinstance(given, dict):
        raise InputError(f"{file} holds no parameters: expected NAME: VALUE lines")
    refuse_unknown_names(given)
    arguments = pipeline_arguments(given, settings or [])
    if "storage_uri" not in arguments:
        raise InputError("the run needs a storage: add --set storage_uri=s3://bucket/prefix")
    return arguments


def _after_start(client: KfpClient, run: Run, *, wait: bool, timeout: float, json: bool) -> None:
    from belisha.components.shared.kfp_client import RunEndedBadlyError, wait_for_run

    if not json:
        print_sentence(f"run {run.name} ({run.run_id}) is {run.state.value}: {client.url_of(run.run_id)}")
    problem: RunEndedBadlyError | None = None
    if wait:
        try:
            run = wait_for_run(client, run.run_id, timeout_seconds=timeout, seen=_teller(json=json))
        except RunEndedBadlyError as error:
            problem, run = error, error.run
    if json:
        print_json({**_run_json(run), "url": client.url_of(run.run_id)})
    if problem is not None:
        print_sentence(f"belisha: {problem}")
        raise typer.Exit(1 if run.state.is_terminal else problem.exit_code)


def _teller(*, json: bool) -> Any:
    """Tells each new state once."""
    told: list[str] = []

    def tell(run: Run) -> None:
        if not json and run.state.value not in told[-1:]:
            told.append(run.state.value)
            print_sentence(f"run {run.name} is {run.state.value}")

    return tell


def _print_table(runs: list[Run]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("run", "state", "created", "id")
    for run in runs:
        table.add_row(Text(run.name), run.state.value, run.created_at, run.run_id)
    console.print(table)


def _run_json(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "state": run.state.value,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "error": run.error,
    }


def _version_json(version: PipelineVersion) -> dict[str, Any]:
    return {"pipeline_id": version.pipeline_id, "version_id": version.version_id, "name": version.name}
