"""`belisha drift check` and `belisha drift reference`: do production pictures still look like those the champion knows?"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from belisha.cli.kfp_options import Endpoint, Namespace, TokenFile
from belisha.cli.output import console, print_json, print_sentence, progress_sink
from belisha.cli.release_options import Json, Storage
from belisha.cli.verbs.retrain import Config, Data, Workdir

if TYPE_CHECKING:
    from belisha.components.drift.step import CheckOutcome
    from belisha.components.retrain.retrainer import Outcome
    from belisha.components.shared.drift_reference import Reference
    from belisha.retraining.retraining import Retraining

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
_CHECK_EXAMPLES = """
Examples:

    belisha drift check --storage run1/storage --report drift.html

    belisha drift check --storage s3://bucket/belisha --json

    belisha drift check --storage run1/storage --window 60 --min-window 30 --min-reference 300 --gap 0

    belisha drift check --storage run1/storage --mode textbook --correction bh --no-record

    belisha drift check --storage run1/storage --act local --data pictures/

Exit codes: 0 no drift, 1 drift, 3 too little to judge, 70 or 75 no check could be made, 2 bad input. With --job the first three
are 0. With --act also 75 when no run could be started; the next check goes on with it.
"""
_REFERENCE_EXAMPLES = """
Examples:

    belisha drift reference --storage run1/storage

    belisha drift reference --from-log --days 14 --storage run1/storage

Exit codes: 0 done, 2 bad input or no reference, 3 too few pictures, 75 try again.
"""
Log = Annotated[str, typer.Option(help="Where the request log lies, when it is not in the storage.")]
MinReference = Annotated[int, typer.Option(help="Thinned pictures that a stratum's reference must have.")]
Gap = Annotated[
    float | None,
    typer.Option(min=0, help="Least seconds between two pictures of a camera.", show_default="the reference's"),
]
Until = Annotated[
    datetime | None,
    typer.Option(formats=_TIMES, help="Only predictions before this moment count, UTC.", show_default="now"),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    drift = typer.Typer(no_args_is_help=True, help="Tell whether production pictures have changed.")
    drift.command(name="check", epilog=_CHECK_EXAMPLES)(_check)
    drift.command(name="reference", epilog=_REFERENCE_EXAMPLES)(_reference)
    app.add_typer(drift, name="drift")


def _check(
    storage: Storage,
    log: Log = "",
    reference: Annotated[
        Path | None, typer.Option(help="Compare with the reference in this folder.", show_default="the champion's")
    ] = None,
    window: Annotated[int, typer.Option(help="Thinned pictures of a window.")] = 300,
    min_window: Annotated[int, typer.Option(help="Fewer pictures say nothing.")] = 100,
    min_reference: MinReference = 3000,
    windows: Annotated[int, typer.Option(help="Last windows that are looked at.")] = 3,
    flagged_windows: Annotated[int, typer.Option(help="Of them that confirm drift.")] = 2,
    cooldown_windows: Annotated[int, typer.Option(help="Lengths of a window without a further alert.")] = 6,
    min_effect_ratio: Annotated[float, typer.Option(help="Distance of distributions that matters, 0 to 1.")] = 0.10,
    mode: Annotated[str, typer.Option(help="calibrated on blocks of the reference, or textbook tests.")] = "calibrated",
    alpha_ratio: Annotated[float, typer.Option(help="Error rate of a window in textbook mode.")] = 0.05,
    correction: Annotated[
        str, typer.Option(help="For many features in textbook mode: bonferroni or bh.")
    ] = "bonferroni",
    lookback_hours: Annotated[float, typer.Option(help="Older predictions are not looked at.")] = 72.0,
    gap: Gap = None,
    until: Until = None,
    deployment: Annotated[str, typer.Option(help="Name of the deployment, for metrics and alerts.")] = "belisha",
    report: Annotated[Path | None, typer.Option(help="Write the report, one HTML page, to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write drift.json and report.html into this folder.")] = None,
    record: Annotated[bool, typer.Option(help="Write a confirmed alert to the ledger.")] = True,
    job: Annotated[
        bool, typer.Option("--job", help="Exit with 0 on every verdict that could be reached, for a CronJob.")
    ] = False,
    act: Annotated[
        str,
        typer.Option(help="What a confirmed alert does: none; local or kfp: retrain there, as `belisha retrain` does."),
    ] = "none",
    config: Config = None,
    data: Data = None,
    workdir: Workdir = None,
    kfp_endpoint: Endpoint = "",
    kfp_namespace: Namespace = "",
    kfp_token_file: TokenFile = "",
    json: Json = False,
) -> None:
    """Compare the champion's last predictions with its reference; confirmed drift becomes one record of the ledger."""
    given: dict[str, Any] = dict(locals())
    from belisha.components.drift.step import CheckRequest, run_check
    from belisha.components.shared.errors import EXIT_OK, BelishaError

    retraining = _retraining(given)
    request = CheckRequest(
        storage_uri=storage,
        log_uri=log,
        reference_dir=reference,
        deployment_name=deployment,
        until=_utc(until),
        settings=_settings(given),
        record=record,
        out_dir=out,
        report_file=report,
    )
    with progress_sink() as progress:
        outcome = run_check(request, progress)
        try:
            acted = retraining.act_on_alert(progress) if retraining else []
        except BelishaError:
            _show(outcome, [], json=json)
            raise
    _show(outcome, acted, json=json)
    # A check that could not be made has raised an error before.
    raise typer.Exit(EXIT_OK if job else outcome.check.verdict.exit_code)


def _reference(
    storage: Storage,
    from_log: Annotated[bool, typer.Option("--from-log", help="Freeze a new one from the request log.")] = False,
    log: Log = "",
    days: Annotated[
        float, typer.Option(min=0.001, help="Freeze the last so many days; a fortnight has every weekday.")
    ] = 14.0,
    min_reference: MinReference = 3000,
    gap: Annotated[
        float | None,
        typer.Option(min=0, help="Least seconds between two pictures of a camera.", show_default="measured"),
    ] = None,
    until: Until = None,
    json: Json = False,
) -> None:
    """Show the reference that the champion's pictures are compared with, or freeze a new one from the request log."""
    from belisha.components.drift.step import current_reference, freeze_reference

    if not from_log:
        version, reference = current_reference(storage)
        _print_reference(version, reference, "", json=json)
        return
    with progress_sink() as progress:
        frozen = freeze_reference(
            storage, log, days, progress, min_pictures=min_reference, gap_seconds=gap, until=_utc(until)
        )
    _print_reference(frozen.model_version, frozen.reference, frozen.uri, json=json)


def _settings(given: dict[str, Any]) -> Any:
    from belisha.components.drift.settings import Correction, DriftSettings, Mode
    from belisha.components.shared.errors import InputError

    try:
        mode, correction = Mode(given["mode"]), Correction(given["correction"])
    except ValueError as error:
        raise InputError(f"{error}: give --mode {' or '.join(Mode)}, --correction {' or '.join(Correction)}") from None
    same = ("windows", "flagged_windows", "cooldown_windows", "min_effect_ratio", "alpha_ratio", "lookback_hours")
    return DriftSettings(
        mode=mode,
        correction=correction,
        window_pictures=given["window"],
        min_window_pictures=given["min_window"],
        min_reference_pictures=given["min_reference"],
        gap_seconds=given["gap"],
        **{name: given[name] for name in same},
    )


def _utc(moment: datetime | None) -> datetime | None:
    from datetime import UTC

    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _retraining(given: dict[str, Any]) -> Retraining | None:
    """What acts on alerts, put together before the check so that a wrong option is told at once."""
    if given["act"] == "none":
        return None
    from belisha.cli.verbs.retrain import retraining_of

    # What was checked is what is acted upon, so the deployment's name is that of the check, whatever the file says.
    same = (
        "config",
        "deployment",
        "log",
        "workdir",
        "data",
        "deployment",
        "kfp_endpoint",
        "kfp_namespace",
        "kfp_token_file",
    )
    return retraining_of(given["storage"], given["act"], **{name: given[name] for name in same})


def _show(outcome: CheckOutcome, acted: list[Outcome], *, json: bool) -> None:
    from belisha.cli.verbs.retrain import outcomes_to_json, print_outcomes

    if json:
        print_json({**_outcome_to_json(outcome), "retraining": outcomes_to_json(acted)})
    else:
        _print_outcome(outcome)
        print_outcomes(acted)
    for warning in outcome.warnings:
        print_sentence(f"warning: {warning}")


def _outcome_to_json(outcome: CheckOutcome) -> dict[str, Any]:
    alert = outcome.alert
    told = {
        "state": alert.state.value,
        "sentence": alert.sentence,
        "record": alert.record,
        "cause_id": alert.alert.cause_id if alert.alert else "",
        "report_uri": alert.alert.report_uri if alert.alert else "",
    }
    return {**outcome.drift, "alert": told, "warnings": list(outcome.warnings)}


def _print_outcome(outcome: CheckOutcome) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("stratum", "verdict", "windows flagged", "finding")
    for finding in outcome.check.strata:
        judged = sum(window.judged for window in finding.windows)
        told = finding.sentence.removeprefix(f"{finding.stratum.name}: ")
        flagged = f"{len(finding.flagged_windows)} of {judged}"
        table.add_row(Text(finding.stratum.name), finding.verdict.value, flagged, Text(told))
    console.print(table)
    print_sentence(outcome.check.sentence)
    if outcome.alert.sentence:
        print_sentence(outcome.alert.sentence)
        if outcome.alert.alert is not None and outcome.alert.record:
            print_sentence(f"The report is {outcome.alert.alert.report_uri}/report.html")


def _print_reference(version: str, reference: Reference, uri: str, *, json: bool) -> None:
    import numpy as np

    rows = reference.rows
    cameras, counts = np.unique(rows.camera.astype(str), return_counts=True)
    if json:
        print_json(
            {
                "model_version": version,
                "digest": reference.digest,
                "source": reference.source.value,
                "gap_seconds": reference.gap_seconds,
                "pictures": len(rows),
                "cameras": dict(zip(cameras.tolist(), counts.tolist(), strict=True)),
                "embedding_length": rows.embeddings.shape[1],
                "uri": uri,
            }
        )
        return
    verb = f"frozen at {uri}" if uri else "in force"
    print_sentence(
        f"reference {reference.digest[:16]} of {version} is {verb}: {len(rows)} pictures of {len(cameras)} cameras from the "
        f"{reference.source.value}, at least {reference.gap_seconds:g} s apart"
    )
