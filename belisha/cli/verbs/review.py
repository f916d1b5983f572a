"""`belisha review`: pictures for people, and what people say about them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from belisha.cli.output import console, print_json, print_sentence, progress_sink
from belisha.cli.release_options import Json, Storage
from belisha.components.shared.errors import EXIT_INCONCLUSIVE, EXIT_OK, InputError

if TYPE_CHECKING:
    from belisha.components.review.choose import ChoiceSettings
    from belisha.components.review.status import QueueStatus

_EXIT_CODES = "\n\nExit codes: 0 done, 2 bad input, 3 there was nothing to do it with, 75 try again."

_SELECT = f"""
Examples:

    belisha review select --storage run1/storage --pictures 60

    belisha review select --storage s3://bucket/belisha --key drift-0123456789abcdef --cause "night falls on camera 3"
{_EXIT_CODES}
"""
_EXPORT = f"""
Examples:

    belisha review export --storage run1/storage --out tasks --format label-studio

    belisha review export --storage run1/storage --out tasks --format cvat --pictures

    belisha review export --storage run1/storage --out tasks --disputed --pictures
{_EXIT_CODES}
"""
_IMPORT = f"""
Examples:

    belisha review import project-1.json --storage run1/storage --report review.html

    belisha review import ada.zip --annotator ada --storage run1/storage

    belisha review import --page --storage run1/storage
{_EXIT_CODES}
"""
_SERVE = """
Examples:

    belisha review serve --storage run1/storage

    belisha review serve --storage run1/storage --adjudicate --port 8071

There is no login: whoever reaches the address may answer under any name. Ctrl-C ends it; every change was saved as it was made.

Exit codes: 0 ended, 2 bad input.
"""
_STATUS = """
Examples:

    belisha review status --storage run1/storage

    belisha review status --storage s3://bucket/belisha --json

Exit codes: 0 done, 2 bad input, 75 try again.
"""

Deployment = Annotated[str, typer.Option("--deployment", help="Name of the deployment, for alerts and metrics.")]
BatchNumber = Annotated[int, typer.Option("--batch", min=0, help="Number of one batch; 0 for all.")]
All = Annotated[bool, typer.Option("--all", help="Pictures that were reviewed before, too.")]
LeastScore = Annotated[float, typer.Option("--least-score", min=0.0, max=1.0, help="Weakest box to suggest.")]
People = Annotated[int, typer.Option("--people", min=1, help="A picture waits until so many people have drawn on it.")]
Blind = Annotated[bool, typer.Option("--blind", help="Suggest nothing: people see the bare picture.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    review = typer.Typer(no_args_is_help=True, help="Hand pictures to people, and take back what they drew.")
    review.command("select", epilog=_SELECT)(_select)
    review.command("export", epilog=_EXPORT)(_export)
    review.command("import", epilog=_IMPORT)(_import)
    review.command("serve", epilog=_SERVE)(_serve)
    review.command("status", epilog=_STATUS)(_status)
    app.add_typer(review, name="review")


def _select(
    storage: Storage,
    log: Annotated[str, typer.Option(help="Where the request log lives, if not in --storage.")] = "",
    pictures: Annotated[int, typer.Option(min=1, help="Pictures to hand out at most.")] = 60,
    cause: Annotated[str, typer.Option(help="Why, for people.")] = "",
    key: Annotated[str, typer.Option(help="A second selection of the same key gets the first one's batch.")] = "",
    since: Annotated[str, typer.Option(help="Begin of the window, ISO 8601; by default 24 hours before its end.")] = "",
    until: Annotated[str, typer.Option(help="End of the window, ISO 8601; by default now.")] = "",
    shares: Annotated[str, typer.Option(help="UNCERTAIN/DISAGREEMENT/DRIFTED/UNIFORM in percent.")] = "50/20/15/15",
    seconds_between: Annotated[
        float, typer.Option(min=0, help="Least time between two pictures of one camera.")
    ] = 30.0,
    deployment: Deployment = "belisha",
    max_waiting: Annotated[
        int, typer.Option(min=0, help="Hand out no more than brings the queue to so many pictures; 0 for no bound.")
    ] = 500,
    job: Annotated[
        bool,
        typer.Option("--job", help="For a CronJob: exit with 0 also when nothing was found, and one batch an hour."),
    ] = False,
    json: Json = False,
) -> None:
    """Choose pictures that serving has kept and hand them out as one batch; no picture is handed out twice.

    Half are those that a model was most unsure about; a fifth are those that champion and challenger disagree about; then what
    lies where drift was found, and a uniform draw, which alone speaks for all requests.
    """
    from belisha.components.review.select import SelectSettings, select

    if job and not key:
        # A job that is run again because its pod died finds the batch that it had handed out.
        key = f"job-{deployment}-{datetime.now(UTC):%Y-%m-%dT%H}"
    settings = SelectSettings(
        key, cause, _moment(since, "--since"), _moment(until, "--until"),
        _choice(pictures, shares, seconds_between), deployment, max_waiting,
    )  # fmt: skip
    with progress_sink() as progress:
        selected = select(storage, log, settings, progress)
    _warn(selected.warning)
    if json:
        print_json(selected.to_json())
    else:
        print_sentence(selected.sentence)
    raise typer.Exit(EXIT_OK if selected.batch or job else EXIT_INCONCLUSIVE)


def _export(
    storage: Storage,
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    format: Annotated[str, typer.Option(help="label-studio, cvat or json.")] = "label-studio",  # noqa: A002 - the option's name
    batch: BatchNumber = 0,
    all_: All = False,
    disputed: Annotated[
        bool, typer.Option("--disputed", help="Only pictures with disputed boxes, showing what the others drew.")
    ] = False,
    people: People = 1,
    pictures: Annotated[bool, typer.Option("--pictures", help="Put the pictures into the export.")] = False,
    image_address: Annotated[
        str, typer.Option(help="How Label Studio finds a picture; {uri}, {id} and {file} are filled in.")
    ] = "{uri}",
    blind: Blind = False,
    least_score: LeastScore = 0.25,
    json: Json = False,
) -> None:
    """Write the pictures that wait for Label Studio (tasks.json), CVAT (cvat.zip) or any other tool (tasks.json)."""
    from belisha.components.review.export import ExportSettings, Format, export

    if format not in list(Format):
        raise InputError(f"{format!r} is no format: give one of {', '.join(Format)}")
    settings = ExportSettings(
        Format(format), batch, all_, disputed, people, pictures, image_address, not blind, least_score
    )  # fmt: skip
    with progress_sink() as progress:
        exported = export(storage, out, settings, progress)
    if json:
        print_json(exported.to_json())
    else:
        print_sentence(f"{exported.pictures} pictures for people: {out / exported.files[0]}")


def _import(
    storage: Storage,
    files: Annotated[list[Path] | None, typer.Argument(help="Exports of Label Studio, CVAT 1.1, or our JSON.")] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Take in what people finished on `belisha review serve`.")
    ] = False,
    annotator: Annotated[str, typer.Option(help="Who drew; by default the files say so.")] = "",
    adjudicator: Annotated[
        bool, typer.Option("--adjudicator", help="These people have seen the others' boxes and decide.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="HTML page to write: agreement and examples.")] = None,
    deployment: Deployment = "belisha",
    json: Json = False,
) -> None:
    """Take in what people drew, find the consensus, and bring `review/dataset/reviewed` in the storage up to date.

    `belisha acquire OLD_DATA STORAGE/review/dataset/reviewed` makes it part of the next data set.
    """
    from belisha.components.review.importing import ImportSettings, import_answers
    from belisha.components.review.report import write_import_report

    settings = ImportSettings(tuple(files or ()), page, annotator, adjudicator, deployment)
    with progress_sink() as progress:
        imported = import_answers(storage, settings, progress)
    if report is not None:
        write_import_report(report, imported)
    _warn(imported.warning)
    if json:
        print_json(imported.to_json())
        return
    print_sentence(imported.sentence)
    print_sentence(imported.agreement.sentence)
    if report is not None:
        print_sentence(f"The report is {report}")


def _serve(
    storage: Storage,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8070,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Further name under which the page may be asked for, such as a proxy's.")
    ] = None,
    batch: BatchNumber = 0,
    all_: All = False,
    adjudicate: Annotated[
        bool, typer.Option("--adjudicate", help="Show pictures with disputed boxes to somebody who decides.")
    ] = False,
    people: People = 1,
    blind: Blind = False,
    least_score: LeastScore = 0.25,
    json: Json = False,
) -> None:
    """Serve a page on which people look at the pictures that wait: drawn boxes are saved as they are made."""
    from belisha.components.review.page import PageSettings, ReviewServer, serve_review

    settings = PageSettings(
        host, port, tuple(allow_host or ()), batch, all_, adjudicate, people, not blind, least_score
    )  # fmt: skip
    server = ReviewServer(storage, settings)
    if json:
        print_json({"url": server.url})
    else:
        print_sentence(f"review at {server.url}: open it in a browser; Ctrl-C ends it")
    try:
        serve_review(server)
    except KeyboardInterrupt:
        print_sentence("belisha: stopped; `belisha review import --page` takes in what is done")


def _status(storage: Storage, deployment: Deployment = "belisha", json: Json = False) -> None:
    """Say how many pictures wait, since when, and who has drawn; pushes the metrics where a Pushgateway is configured."""
    from belisha.components.review.status import push_metrics
    from belisha.components.shared.storage import open_store

    status = push_metrics(open_store(storage), deployment)
    if json:
        print_json(status.to_json())
        return
    _print_batches(status)
    people = f" by {', '.join(status.annotators)}" if status.annotators else ""
    since = f" since {status.waiting_since:%Y-%m-%d %H:%M} UTC" if status.waiting_since else ""
    print_sentence(f"{status.waiting} pictures wait{since}, {status.reviewed} are reviewed{people}")
    if status.disputed_boxes:
        print_sentence(f"{status.disputed_boxes} boxes on {status.disputed_pictures} pictures are disputed")


def _warn(warning: str) -> None:
    if warning:
        print_sentence(f"warning: {warning}")


def _print_batches(status: QueueStatus) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("batch", "handed out (UTC)", "pictures", "wait", "cause")
    for batch in status.batches:
        at = f"{batch.created_at:%Y-%m-%d %H:%M}"
        table.add_row(str(batch.number), at, str(batch.pictures), str(batch.waiting), Text(batch.cause))
    if status.batches:
        console.print(table)


def _choice(pictures: int, shares: str, seconds_between: float) -> ChoiceSettings:
    from belisha.components.review.choose import ChoiceSettings
    from belisha.components.shared.review_queue import Pick

    try:
        uncertain, disagreement, drifted, uniform = (float(part) / 100 for part in shares.split("/"))
    except ValueError:
        raise InputError(
            f"--shares {shares!r}: expected UNCERTAIN/DISAGREEMENT/DRIFTED/UNIFORM such as 50/20/15/15"
        ) from None
    by_pick = {Pick.UNCERTAIN: uncertain, Pick.DISAGREEMENT: disagreement, Pick.DRIFTED: drifted, Pick.UNIFORM: uniform}
    return ChoiceSettings(pictures, by_pick, seconds_between)


def _moment(text: str, option: str) -> datetime | None:
    """An ISO 8601 moment, UTC where it names no zone; None for nothing."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} {text!r} is no moment: expected for example 2026-05-01T18:00") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
