"""Stands in for the people who review: answers every waiting picture with what was drawn on it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from belisha.components.review.importing import ImportSettings, import_answers
from belisha.components.review.own_json import answers_of
from belisha.components.shared.files import write_json
from belisha.components.shared.manifest import Box
from belisha.components.shared.progress import ProgressSink
from belisha.components.shared.review_queue import Vote, read_batches, read_imports, waiting_items
from belisha.components.shared.storage import open_store
from belisha.demonstration.streets import Frame

ANNOTATOR = "the-one-who-drew-it"


def answer_all(storage_uri: str, known: Mapping[str, Frame], progress: ProgressSink) -> str:
    """Give the waiting pictures their truth, through the same import that people's files go through.

    Args:
        storage_uri: with the review queue.
        known: frames by picture id; nobody can tell what is on another one, so it goes on waiting.
        progress: told while pictures are copied.

    Returns:
        What the import says.
    """
    store = open_store(storage_uri)
    waiting = [item.picture_id for _, item in waiting_items(read_batches(store), read_imports(store))]
    answers = [answers_of(_vote(known[picture_id])) for picture_id in waiting if picture_id in known]
    if not answers:
        return "no picture waits for review"
    document = {**answers[0], "pictures": [picture for one in answers for picture in one["pictures"]]}
    with tempfile.TemporaryDirectory(prefix="belisha-demo-") as folder:
        file = Path(folder) / "answers.json"
        write_json(file, document)
        return import_answers(storage_uri, ImportSettings(files=[file]), progress).sentence


def _vote(frame: Frame) -> Vote:
    boxes = tuple(Box(box.x, box.y, box.width, box.height, ignore=box.ignore) for box in frame.boxes)
    return Vote(frame.picture_id, ANNOTATOR, boxes)
