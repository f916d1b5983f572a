"""`belisha synthesize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_EPILOG = (
    "Examples:\n\n"
    "  belisha synthesize --out streets --pictures 300 --seed 7\n\n"
    "  belisha synthesize --out drifted --pictures 200 --seed 7 --first 300 --conditions night:0.7,rain:0.3\n\n"
    "  belisha synthesize --out streets --conditions day,night,rain --json"
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=_EPILOG)(synthesize)


def synthesize(
    out: Annotated[Path, typer.Option(help="Folder to write; new, empty, or written by this verb before.")],
    pictures: Annotated[int, typer.Option(help="How many pictures.")] = 300,
    seed: Annotated[int, typer.Option(help="The same seed gives the same pictures.")] = 0,
    conditions: Annotated[
        str,
        typer.Option(
            help="day, dusk, night, rain, fog, low_resolution; with shares as in day:0.6,night:0.4. Default: all."
        ),
    ] = "",
    width: Annotated[int, typer.Option(help="Pixels.")] = 640,
    height: Annotated[int, typer.Option(help="Pixels.")] = 384,
    pedestrians: Annotated[str, typer.Option(help="Least and most people on the street at a time.")] = "0-12",
    cameras: Annotated[int, typer.Option(help="Static cameras that take turns.")] = 24,
    sequence: Annotated[int, typer.Option(help="Consecutive pictures of one camera that show the same people.")] = 4,
    first: Annotated[int, typer.Option(help="Number of the first picture: go on where an earlier call ended.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that draw.")] = 1,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Draw streets with pedestrians and exact labels: a COCO data set that `belisha acquire` reads.

    Boxes, visible boxes, ignore regions, cameras, sequences and conditions are recorded; `preview.html` shows samples.
    """
    from belisha.cli.output import print_json, print_sentence, progress_sink
    from belisha.components.acquire.synthetic import generate, parse_synthetic_uri
    from belisha.components.acquire.synthetic.folder import summary_of

    query = {
        "pictures": pictures, "seed": seed, "width": width, "height": height, "pedestrians": pedestrians, "cameras": cameras,
        "sequence": sequence, "first": first, **({"conditions": conditions} if conditions else {}),
    }  # fmt: skip
    settings = parse_synthetic_uri("synthetic://streets?" + "&".join(f"{key}={value}" for key, value in query.items()))
    with progress_sink() as progress:
        generate(out, settings, progress, workers)
    summary = summary_of(out)
    if json:
        print_json(summary)
    print_sentence(
        f"{summary['images']} pictures with {summary['pedestrians']} pedestrians ({summary['ignored']} ignore regions) lie in "
        f"{out}; look at {out / 'preview.html'}, then run `belisha acquire {out} --out DIR`"
    )
