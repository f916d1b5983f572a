"""From kept pictures by way of people to the judge's evidence: the real selection, the real import, the real reports."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from belisha.components.experiment.experiment import look
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.experiment.sources import Sources
from belisha.components.review.importing import ImportSettings, import_answers
from belisha.components.shared.ledger import Action, Draft, LedgerState
from belisha.components.shared.progress import silent
from belisha.components.shared.registry import open_registry
from belisha.components.shared.review_samples import Reason
from tests.components.review.queue_world import NOON, World, selected

SETTINGS = ExperimentSettings(min_picture_seconds=0)


def challenge(folder: Path) -> None:
    """v2 is challenger of v1 since a minute before the first picture."""
    ledger = open_registry(str(folder), clock=lambda: NOON - timedelta(minutes=1)).ledger
    for action, state in ((Action.PROMOTE, LedgerState("v1")), (Action.CHALLENGE, LedgerState("v1", "v2", 0.0))):
        ledger.append(lambda _, __, a=action, s=state: Draft(a, "v", "because", s))


def drawn_by_ann(world: World, path: Path) -> Path:
    """What is true, as a person's file."""
    pictures = [
        {
            "picture_id": picture_id,
            "boxes": [
                {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "label": "pedestrian"}
                for box in boxes
            ],
        }
        for picture_id, boxes in world.truth.items()
    ]
    answers = {"schema": "belisha.review_answers/1", "annotator": "ann", "pictures": pictures}
    path.write_text(json.dumps(answers))
    return path


def test_people_decide_what_the_judge_counts(tmp_path: Path) -> None:
    world = World(tmp_path / "storage")
    challenge(tmp_path / "storage")
    paired = {Reason.PAIRED: 0.25}
    for seed in range(4):
        world.keep(seed, reasons=paired, scores=(0.9,), challenger=(0.9, 0.8))
    world.keep(4, reasons=paired, scores=(0.9, 0.8), challenger=(0.9,))
    for seed in range(5, 7):
        world.keep(seed, scores=(0.5, 0.4), challenger=(0.9, 0.8))
    world.log()
    handed_out = {item.picture_id for item in selected(world).batch.items}
    assert handed_out == set(world.truth)
    after = lambda: NOON + timedelta(hours=1)  # noqa: E731
    waiting = look(Sources(world.uri, run_models=False), SETTINGS, clock=after)
    assert waiting.gathered is not None and waiting.gathered.waiting == 5
    import_answers(world.uri, ImportSettings([drawn_by_ann(world, tmp_path / "ann.json")]), silent)
    found = look(Sources(world.uri, run_models=False), SETTINGS, clock=after).gathered
    assert found is not None
    assert (found.evidence.tally.wins, found.evidence.tally.losses, found.waiting) == (4, 1, 0)
    assert dict(found.left_out) == {"kept because one model was undecided": 2}
