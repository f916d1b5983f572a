"""The report of an import: how well people agree, what came of it, and examples with everybody's boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from belisha.components.review.agreement import Agreement
from belisha.components.review.consensus import DISPUTED, MIN_MEAN_IOU, MIN_VOTES, clusters_of
from belisha.components.review.importing import Imported
from belisha.components.review.quality import MIN_PICTURES, LiveQuality
from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.errors import InputError, StorageError
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.manifest import Box
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.report import (
    AMBER,
    GREEN,
    GREY,
    BoxLayer,
    Fact,
    Markup,
    Section,
    facts,
    figure,
    gallery,
    legend,
    new_figure,
    paragraph,
    picture,
    table,
    write_report,
)
from belisha.components.shared.review_queue import Method, ReviewedPicture, Vote

MAX_EXAMPLES = 12
_PEOPLE_COLOURS = ((40, 110, 220), (170, 60, 200), (215, 40, 40), (0, 150, 170), (150, 100, 30), (240, 100, 160))
_MIN_WIDTH_PX = 640


def write_import_report(path: Path, imported: Imported) -> None:
    """Write one self-contained HTML page, atomically."""
    sections = [
        Section("What came back", [_headline(imported), _reading(imported)]),
        Section("Agreement between people", _agreement(imported), lead=imported.agreement.sentence),
        Section("The models on live traffic", [_quality(imported.quality)]),
        Section("Examples", _examples(imported), lead="Most disputed first: everybody's boxes, and what came of them."),
    ]
    write_report(path, "Review", f"{imported.sentence[:1].upper()}{imported.sentence[1:]}.", sections)


def _headline(imported: Imported) -> Markup:
    truths = [one.truth for one in imported.reviewed]
    disputed = sum(truth.disputed for truth in truths)
    ignored = [box.ignore for truth in truths for box in truth.boxes]
    f1, alpha = imported.agreement.mean_f1, imported.agreement.alpha
    return facts([
        Fact("Reviewed pictures", f"{len(truths):,}", f"{imported.waiting:,} wait"),
        Fact("Pedestrians", f"{ignored.count(False):,}", f"{ignored.count(True):,} ignore regions"),
        Fact("Disputed boxes", f"{disputed:,}", "for an adjudicator", "warn" if disputed else "good"),
        Fact("Pairwise F1", "–" if f1 is None else f"{f1:.3f}", "at IoU 0.5, mean of pairs"),
        Fact("Krippendorff's alpha", "–" if alpha is None else f"{alpha:.3f}", "0.8 is good, 0.667 tentative"),
    ])  # fmt: skip


def _reading(imported: Imported) -> Markup:
    counts = {method: sum(one.truth.method is method for one in imported.reviewed) for method in Method}
    return paragraph(
        f"{counts[Method.ONE_ANNOTATOR]} pictures have one person's boxes as they are, {counts[Method.CONSENSUS]} the "
        f"consensus of several ({MIN_VOTES} votes, coordinate-wise median), {counts[Method.ADJUDICATED]} an adjudicator's. A "
        f"box that one of several people drew alone, or whose votes overlap by less than {MIN_MEAN_IOU} on average, is "
        "disputed: it counts as an ignore region until an adjudicator decides, and is never dropped."
    )


def _agreement(imported: Imported) -> list[Markup]:
    agreement = imported.agreement
    if not agreement.pictures:
        return []
    pairs = [[one.one, one.other, one.pictures, one.f1, one.mean_iou] for one in agreement.pairs]
    blocks = [table(["", "", "Common pictures", "F1 at IoU 0.5", "Mean IoU"], pairs, "Pairs of people")]
    people = _people(imported, agreement)
    headers = ["Person", "Pictures", "Boxes", "F1 against the others' consensus", "Median seconds a picture"]
    blocks.append(
        table(
            headers, people, "Each person; the consensus leaves the person out, so it is a little strict with the best"
        )
    )
    if (plot := _overlap_plot(imported.votes_by_picture)) is not None:
        blocks.append(gallery([plot], wide=True))
    return blocks


def _people(imported: Imported, agreement: Agreement) -> list[list[object]]:
    rows = []
    votes = [vote for by_name in imported.votes_by_picture.values() for vote in by_name.values()]
    for name in sorted({vote.annotator for vote in votes}):
        own = [vote for vote in votes if vote.annotator == name]
        seconds = [vote.seconds for vote in own if vote.seconds is not None]
        boxes = sum(len(vote.boxes) for vote in own)
        median = float(np.median(seconds)) if seconds else None
        rows.append([name, len(own), boxes, agreement.leave_one_out_f1.get(name), median])
    return rows


def _overlap_plot(votes: Mapping[str, Mapping[str, Vote]]) -> Markup | None:
    """How well the boxes of a cluster lie on each other."""
    drawn = [{name: vote.boxes for name, vote in by_name.items() if not vote.adjudicator} for by_name in votes.values()]
    overlaps = [one.mean_iou for boxes in drawn for one in clusters_of(boxes) if len(one.boxes) >= MIN_VOTES]
    if not overlaps:
        return None
    plot, axes = new_figure()
    axes.hist(overlaps, bins=list(np.linspace(0.4, 1, 25)), color="#2f6fed")
    axes.axvline(MIN_MEAN_IOU, color="#eba000", linewidth=2, label=f"below {MIN_MEAN_IOU}: to an adjudicator")
    axes.set_xlabel("mean IoU of the votes on one pedestrian")
    axes.set_ylabel("pedestrians")
    axes.legend(frameon=False)
    return figure(plot, f"How well people's boxes lie on each other: {len(overlaps):,} boxes with two votes or more.")


def _quality(quality: Sequence[LiveQuality]) -> Markup:
    if not quality:
        return paragraph(
            "No reviewed picture comes from the uniform draw yet, so nothing can be said about live traffic.",
            tone="warn",
        )
    rows = [[one.model_version, one.pictures, one.precision, one.recall, one.f1, _interval(one)] for one in quality]
    headers = ["Model", "Pictures", "Precision", "Recall", "F1", "95 % interval of F1"]
    caption = (
        "Pictures of the uniform draw alone, each weighted by 1 / probability; at the serving threshold and IoU 0.5"
    )
    return table(headers, rows, caption)


def _interval(one: LiveQuality) -> str:
    if one.f1_interval is None:
        return f"fewer than {MIN_PICTURES} pictures"
    return f"{one.f1_interval[0]:.3f} to {one.f1_interval[1]:.3f}"


def _examples(imported: Imported) -> list[Markup]:
    concerned = {truth.picture_id for truth in imported.truths} or {one.truth.picture_id for one in imported.reviewed}
    pictures = [one for one in imported.reviewed if one.truth.picture_id in concerned]
    ranked = sorted(pictures, key=lambda one: (-one.truth.disputed, -len(one.truth.annotators), one.truth.picture_id))
    people = sorted({voice for by_voice in imported.votes_by_picture.values() for voice in by_voice})
    colours = {name: _PEOPLE_COLOURS[place % len(_PEOPLE_COLOURS)] for place, name in enumerate(people)}
    shown = [_example(one, imported.votes_by_picture[one.truth.picture_id], colours) for one in ranked[:MAX_EXAMPLES]]
    keys = [
        (GREEN, "truth"),
        (AMBER, "disputed"),
        (GREY, "ignore region"),
        *((colour, name) for name, colour in colours.items()),
    ]
    return [legend(keys[:9]), gallery([one for one in shown if one is not None], wide=True)]


def _example(
    one: ReviewedPicture, votes: Mapping[str, Vote], colours: Mapping[str, tuple[int, int, int]]
) -> Markup | None:
    try:
        image_rgb = decode_rgb(PictureReader().read(one.item.picture_uri, one.item.picture_id))
    except (InputError, StorageError):
        return None  # a report with one example less is better than none
    settled = [box for box in one.boxes if not box.ignore]
    disputed = [box for box in one.boxes if box.occlusion == DISPUTED]
    ignored = [box for box in one.boxes if box.ignore and box.occlusion != DISPUTED]
    layers = [
        BoxLayer(_xywh(settled), GREEN, line_px=3),
        BoxLayer(_xywh(ignored), GREY, line_px=3),
        BoxLayer(_xywh(disputed), AMBER, ["disputed"] * len(disputed), line_px=3),
    ]
    # People's thin lines on top of the truth's thick one.
    layers += [BoxLayer(_xywh(vote.boxes), colours[voice], line_px=1) for voice, vote in votes.items()]
    caption = (
        f"{one.item.camera or 'unknown camera'}, {one.item.captured_at:%Y-%m-%d %H:%M}, picked as {one.item.pick}: "
        f"{one.truth.method} of {', '.join(one.truth.annotators)}; {len(settled)} pedestrians, {len(disputed)} disputed"
    )
    return picture(image_rgb, caption, layers, min_width_px=_MIN_WIDTH_PX)


def _xywh(boxes: Sequence[Box]) -> FloatArray:
    return np.array([[box.x, box.y, box.width, box.height] for box in boxes], dtype=np.float64).reshape(-1, 4)
