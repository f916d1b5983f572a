"""The validation report: the answer on top, then the curves, the slices, and pictures of what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from belisha.components.shared.evaluation import MIN_IMAGES, DetectionSet
from belisha.components.shared.inference import read_image
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.report import (
    Fact,
    Markup,
    Section,
    facts,
    gallery,
    legend,
    paragraph,
    table,
    write_report,
)
from belisha.components.validate.evaluation import Evaluation, PartNumbers, missing_mr2
from belisha.components.validate.examples import LEGEND, good_ones, worst_false_alarms, worst_misses
from belisha.components.validate.figures import (
    calibration_figure,
    miss_rate_figure,
    parts_figure,
    precision_recall_figure,
    slices_figure,
)
from belisha.components.validate.margins import Margin
from belisha.components.validate.overfitting import Overfitting
from belisha.components.validate.parts import TRAIN_SAMPLE_IMAGES, PartData

_KINDS = {
    "condition": "By condition",
    "height": "By height of the pedestrian, in pixels of the original picture",
    "occlusion": "By visible share of the pedestrian",
}
_TONES = {
    Overfitting.NO_SIGN: "good",
    Overfitting.OVERFITS: "bad",
    Overfitting.UNCLEAR: "warn",
    Overfitting.UNKNOWN: "warn",
}


def write_validation_report(
    path: Path, evaluation: Evaluation, val: PartData | None, test: PartData, baselines: Mapping[str, DetectionSet]
) -> None:
    """Write the report."""
    title = f"Validation of model {evaluation.model_digest[:12]}"
    sections = [
        _summary(evaluation),
        _curves(evaluation, val, test, baselines),
        _slices(evaluation),
        *_examples(evaluation, val, test),
        _speed(evaluation),
        _origin(evaluation),
    ]
    write_report(path, title, evaluation.sentence, sections)


def _summary(evaluation: Evaluation) -> Section:
    blocks = [
        *(paragraph(f"Warning: {warning}.", tone="warn") for warning in evaluation.warnings),
        facts(list(_facts(evaluation))),
        paragraph(evaluation.gap.sentence, tone=_TONES[evaluation.gap.finding]),
        *_margin_blocks(evaluation),
        _parts_table(evaluation),
    ]
    return Section("Summary", blocks)


def _facts(evaluation: Evaluation) -> Iterator[Fact]:
    counts, summary = evaluation.test.at_threshold, evaluation.test.summary
    at = f"at score {evaluation.score_threshold:.2f}, test"
    yield Fact("Recall", _text(counts.recall), f"{at}: {counts.false_negatives:,} missed")
    yield Fact("Precision", _text(counts.precision), f"{at}: {counts.false_positives:,} false alarms")
    yield Fact("AP50", _text(evaluation.test.ap50), "test, IoU 0.5")
    yield Fact("AP50-95", _text(None if summary is None else summary.ap50_95), "test, mean over IoU")
    if summary is not None:
        value = summary.mr2["reasonable"]
        remark = "reasonable subset, lower is better" if value is not None else missing_mr2(summary, "reasonable")
        yield Fact("MR⁻²", _text(value), remark)
    for row in evaluation.latency[:1]:
        remark = f"median {1000 * row.p50_seconds:.1f} ms, 1 thread"
        yield Fact("Latency p95", f"{1000 * row.p95_seconds:.1f} ms", remark)


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _margin_blocks(evaluation: Evaluation) -> list[Markup]:
    if not evaluation.margins:
        return [paragraph("No baseline was given, so nothing says what the model is better than.", tone="warn")]
    return [
        paragraph(margin.sentence, tone=_margin_tone(margin))
        for margin in evaluation.margins
        if margin.metric == "ap50"
    ]


def _margin_tone(margin: Margin) -> str:
    if margin.low is None:
        return "warn"
    return "good" if margin.low > 0 else "bad"


def _parts_table(evaluation: Evaluation) -> Markup:
    headers = ("part", "pictures", "pedestrians", "AP50", "AP50-95", "recall", "precision", "F1", *_MR2_HEADERS)
    rows = [_part_row(part) for part in evaluation.parts.values()]
    notes = evaluation.test.summary.notes if evaluation.test.summary else ()
    caption = (
        f"Recall, precision and F1 at the serving threshold {evaluation.score_threshold:.2f}, IoU 0.5; train is a sample of "
        f"at most {TRAIN_SAMPLE_IMAGES} pictures; MR⁻² needs at least {MIN_IMAGES}. {'. '.join(notes)}."
    )
    return table(headers, rows, caption)


_MR2_HEADERS = ("MR⁻² reasonable", "small", "heavy", "all")


def _part_row(part: PartNumbers) -> list[object]:
    counts, summary = part.at_threshold, part.summary
    scores = (None, None) if summary is None else (summary.ap50, summary.ap50_95)
    rates = [None] * 4 if summary is None else [summary.mr2[name] for name in ("reasonable", "small", "heavy", "all")]
    return [part.part, part.images, part.pedestrians, *scores, counts.recall, counts.precision, counts.f1, *rates]


def _curves(
    evaluation: Evaluation, val: PartData | None, test: PartData, baselines: Mapping[str, DetectionSet]
) -> Section:
    parts = [test] if val is None else [test, val]
    plots = [
        precision_recall_figure(parts, baselines, evaluation.test.at_threshold),
        miss_rate_figure(test, baselines),
        calibration_figure(evaluation.calibration, evaluation.score_threshold),
        parts_figure(_ap50_by_name(evaluation)),
    ]
    return Section(
        "Curves",
        [gallery([plot for plot in plots if plot], wide=True)],
        lead=f"{evaluation.threshold_sentence} {evaluation.calibration.sentence}",
    )


def _ap50_by_name(evaluation: Evaluation) -> dict[str, float | None]:
    found = {name: part.ap50 for name, part in evaluation.parts.items()}
    return {**found, **{item.baseline: item.value for item in evaluation.margins if item.metric == "ap50"}}


def _slices(evaluation: Evaluation) -> Section:
    plots = [slices_figure(evaluation.slices, kind, caption + ".") for kind, caption in _KINDS.items()]
    rows = [
        [
            item.kind,
            item.name,
            item.images,
            item.pedestrians,
            item.ap50,
            item.recall,
            item.precision,
            item.note,
        ]
        for item in evaluation.slices
    ]
    headers = ("cut by", "band", "pictures", "pedestrians", "AP50", "recall", "precision", "note")
    lead = "Where it works and where not, on the test part. Bands with fewer than 200 boxes are pale: their numbers are rough."
    return Section(
        "By condition, height and occlusion",
        [gallery([plot for plot in plots if plot], wide=True), table(headers, rows)],
        lead,
    )


def _examples(evaluation: Evaluation, val: PartData | None, test: PartData) -> Iterator[Section]:
    """Pictures of val: eyes on the test part would let choices adapt to it."""
    part = val if val is not None and val.truth.pedestrians else test
    reader = PictureReader()

    def show(title: str, pictures: list[Markup], nothing: str, lead: str) -> Section:
        blocks = [legend(LEGEND), gallery(pictures)] if pictures else [paragraph(nothing)]
        return Section(title, blocks, lead)

    where = f"Pictures of the {part.name} part at the serving threshold {evaluation.score_threshold:.2f}."
    if part is not test:
        where += " The test part stays unseen by eyes, so that no choice adapts to it."
    arguments = (part, evaluation.score_threshold, lambda picture: read_image(picture, reader))
    yield show(
        "Worst misses", worst_misses(*arguments), "Nobody was missed.", where + " Tallest and best visible first."
    )
    alarms = worst_false_alarms(*arguments)
    yield show("Worst false alarms", alarms, "There was no false alarm.", "The surest first.")
    good = good_ones(*arguments)
    yield show("Pictures without an error", good, "No picture was answered without an error.", "A draw by picture id.")


def _speed(evaluation: Evaluation) -> Section:
    rows = [
        (row.threads, round(1000 * row.p50_seconds, 2), round(1000 * row.p95_seconds, 2), row.n, row.warm_up)
        for row in evaluation.latency
    ]
    headers = ("threads", "median ms", "p95 ms", "calls", "warm-up calls before")
    caption = "One picture on this machine: preprocessing, inference and suppression, without decoding the file."
    size = paragraph(f"The model file has {evaluation.model_size_bytes / 1e6:,.2f} MB.")
    return Section("Speed and size", [table(headers, rows, caption), size])


def _origin(evaluation: Evaluation) -> Section:
    rows = [
        ("model", evaluation.model_digest),
        ("data set", evaluation.dataset_digest),
        ("split", evaluation.split_digest),
        ("run", evaluation.run_id),
        ("looks at this test part", str(evaluation.test_looks)),
    ]
    return Section("What was tested", [table(("what", "digest or id"), rows)])
