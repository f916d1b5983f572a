"""`belisha demo`: the whole loop on drawn streets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from belisha.cli.output import print_sentence, progress_sink

if TYPE_CHECKING:
    from belisha.demonstration.accuracy import Accuracy
    from belisha.demonstration.play import Story
    from belisha.pipelines.demo import FirstRun

_EXAMPLES = """
Example:

    belisha demo --workdir demo

The same command again goes on where it was stopped. Needs no network, no GPU and no pictures of yours.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="demo", epilog=_EXAMPLES)(_demo)


def _demo(workdir: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path("demo")) -> None:
    """Play the whole loop: train, serve, let night fall, find the drift, retrain, try the challenger; write report.html."""
    import asyncio

    from belisha.demonstration.accuracy import accuracy_by_condition
    from belisha.demonstration.play import Play
    from belisha.demonstration.story_report import story_sections
    from belisha.pipelines.demo import CHALLENGER, STREETS, first_run, write_demo_report
    from belisha.serving.environment import serve_python

    serve_python()  # minutes of training must not end with the news that nothing can serve
    workdir = workdir.absolute()
    with progress_sink() as progress:
        first = first_run(workdir, progress)
        print_sentence(f"first training: {first.sentence}")
        if not first.has_champion:
            print_sentence(f"it did not pass its gates, so there is nothing to serve; report: {first.report}")
            raise typer.Exit(1)
        parameters = {**CHALLENGER, "train_weights_uri": first.weights_uri}
        play = Play(workdir, first.storage_uri, STREETS, parameters, progress)
        if play.is_over:
            print_sentence(
                f"this was played to its end before; remove {workdir} to play it again; report: {first.report}"
            )
            return
        story = asyncio.run(play.run())
        accuracy = accuracy_by_condition(STREETS, _models(first, workdir), progress)
    later = [story.retrained] if story.retrained is not None else []
    write_demo_report(first, later, story_sections(story, accuracy, STREETS))
    _tell(story, accuracy)
    print_sentence(f"report: {first.report}")


def _models(first: FirstRun, workdir: Path) -> dict[str, Path]:
    """The champion of the beginning and every model after it, fetched and verified."""
    from belisha.components.shared.registry import open_registry

    registry = open_registry(first.storage_uri, must_exist=True)
    return {one.version: registry.fetch(one.version, workdir / "cache") for one in registry.versions()}


def _tell(story: Story, accuracy: list[Accuracy]) -> None:
    for number, look in enumerate(story.looks, 1):
        print_sentence(
            f"drift check {number}, {look.pictures} new pictures by {look.condition}: {look.outcome.check.sentence}"
        )
    for sentence in story.reviewed:
        print_sentence(f"retraining: {sentence}")
    if story.served is not None:
        print_sentence(f"serving: {story.served.sentence}")
    for number, check in enumerate(story.checks, 1):
        print_sentence(f"trial, check {number}: {check.sentence}")
    for one in accuracy:
        print_sentence(f"AP50 of {one.version} by {one.condition}: {one.ap50:.3f} ({one.pictures} new pictures)")
    on_trial = f", {story.state.challenger} is on trial" if story.state.challenger else ""
    print_sentence(f"at the end {story.state.champion} is champion{on_trial}")
