"""`belisha acquire`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from belisha.cli.output import print_json, print_sentence, progress_sink
from belisha.components.shared.errors import InputError

if TYPE_CHECKING:
    from belisha.components.acquire.labels import BoxOrigin
    from belisha.components.acquire.options import AcquireSummary

_EPILOG = (
    "Examples:  belisha acquire photos/ --out data  ·  belisha acquire labels.json --images pictures.zip --out data  ·  "
    "belisha acquire s3://bucket/set1 more.tar.gz --out data --map cyclist=ignore --json  ·  "
    "belisha acquire 'synthetic://streets?pictures=300&seed=7' --out data"
)


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command(epilog=_EPILOG)
    def acquire(
        sources: Annotated[
            list[str],
            typer.Argument(
                metavar="SOURCE…",
                help="Folder, label file, archive (zip, tar, tar.gz, tar.bz2, tar.xz), http(s) address of an archive, "
                "s3://, gs:// or az:// prefix or archive, or synthetic://streets?…; of a picture that stands in several, "
                "the first labels are kept.",
            ),
        ],
        out: Annotated[Path, typer.Option(help="Folder for the dataset; other files in it stay.")],
        storage: Annotated[
            str, typer.Option(help="Folder or URI below which pictures/ is kept; the folder of --out by default.")
        ] = "",
        images: Annotated[
            str, typer.Option(help="Folder, archive or URI of the pictures when they are not beside the labels.")
        ] = "",
        format_name: Annotated[
            str, typer.Option("--format", help="Label format of every source; recognised by default.")
        ] = "",
        class_rules: Annotated[
            list[str] | None,
            typer.Option(
                "--map", metavar="CLASS=ROLE", help="Role of a class: pedestrian, ignore or drop; repeatable."
            ),
        ] = None,
        box_origin: Annotated[
            str,
            typer.Option(help="How COCO, YOLO and VOC boxes count pixels: auto, 0 or 1 (from 1, last one included)."),
        ] = "auto",
        difficult_is_ignored: Annotated[
            bool, typer.Option("--ignore-difficult", help="VOC objects marked difficult become ignore regions.")
        ] = False,
        licence: Annotated[str, typer.Option(help="Licence of pictures whose source states none.")] = "",
        name: Annotated[str, typer.Option(help="Name of the dataset; the sources' names by default.")] = "",
        workers: Annotated[int, typer.Option(min=0, help="Pictures in the works at once; 0: as many as CPUs.")] = 0,
        json_output: Annotated[
            bool, typer.Option("--json", help="End with one line of JSON on standard output.")
        ] = False,
    ) -> None:
        """Read labelled pictures of any known format into a dataset folder.

        Broken pictures are left out and listed in quarantine.json; card.html shows what there is. A stopped run goes on when
        the same command is started again.
        """
        from belisha.components.acquire.acquire import acquire as run
        from belisha.components.acquire.class_map import parse_rules
        from belisha.components.acquire.options import AcquireOptions
        from belisha.components.shared.storage import join_uri

        options = AcquireOptions(
            format=format_name,
            images=images,
            class_map=parse_rules(class_rules or []),
            box_origin=_box_origin(box_origin),
            difficult_is_ignored=difficult_is_ignored,
            licence=licence,
            name=name,
            workers=workers,
        )
        with progress_sink() as progress:
            summary = run(sources, out, join_uri(storage or str(out), "pictures"), options, progress)
        _print_summary(summary, out)
        if json_output:
            print_json(summary.to_json())


def _print_summary(summary: AcquireSummary, out: Path) -> None:
    for note in summary.notes:
        print_sentence(f"note: {note}")
    print_sentence(
        f"{summary.images} pictures with {summary.pedestrians} pedestrians and {summary.ignored} ignore regions are in "
        f"{out}, {summary.quarantined} are in quarantine; look at {out / 'card.html'}"
    )


def _box_origin(text: str) -> BoxOrigin:
    from belisha.components.acquire.labels import BoxOrigin

    try:
        return BoxOrigin(text)
    except ValueError:
        raise InputError(f"--box-origin {text} is not known: expected auto, 0 or 1") from None
