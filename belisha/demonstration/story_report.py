"""The story as parts of the demonstration's page."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from belisha.components.drift.findings import DriftVerdict
from belisha.components.drift.judging import words_of
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.report import (
    Section,
    figure,
    gallery,
    new_figure,
    paragraph,
    picture,
    table,
)
from belisha.demonstration.accuracy import CONDITIONS, Accuracy
from belisha.demonstration.play import Look, Story
from belisha.demonstration.streets import frames
from belisha.demonstration.traffic import report_sections

_TONES = {DriftVerdict.NO_DRIFT: "good", DriftVerdict.DRIFT: "bad"}
_FEATURES = 3


def story_sections(story: Story, accuracy: Sequence[Accuracy], source: str) -> list[Section]:
    """Night falls, the check fires, people look, a run starts, the challenger is tried; with its figures."""
    sections = [_sky(story, source), _retraining(story)]
    if story.served is not None:
        sections += report_sections(story.served)
    return [*sections, _trial(story), _accuracy(accuracy), _ledger(story)]


def _sky(story: Story, source: str) -> Section:
    shown = [picture(decode_rgb(next(frames(source, sky, 950_000, 1)).data), sky) for sky in CONDITIONS]
    rows = [[number, *_told(look)] for number, look in enumerate(story.looks, 1)]
    blocks: list[Markup] = [gallery(shown)]
    if rows:
        headers = ["check", "sky", "new pictures", "verdict", "what changed most"]
        blocks.append(table(headers, rows, "Drift checks in turn; each has its own page beside this one, drift-N.html"))
    else:
        blocks.append(paragraph("The drift was found by an earlier start of this demonstration.", tone="warn"))
    blocks += [
        paragraph(look.outcome.check.sentence, tone=_TONES.get(look.outcome.check.verdict, "warn"))
        for look in story.looks[-1:]
    ]
    lead = "The champion has learned by daylight. Production goes on into the night; nothing tells the platform so."
    return Section("Drift: the sky changes", blocks, lead)


def _told(look: Look) -> list[object]:
    check = look.outcome.check
    windows = [window for finding in check.strata for window in finding.windows if window.judged]
    features = windows[-1].features[:_FEATURES] if windows else ()
    return [look.condition, look.pictures, check.verdict.value, "; ".join(words_of(feature) for feature in features)]


def _retraining(story: Story) -> Section:
    lead = (
        "An alert trains nothing by itself: people are asked first. Here the one who drew the streets answers for them."
    )
    told = story.reviewed or ["This was done by an earlier start of this demonstration."]
    return Section("Review and retraining", [paragraph(sentence) for sentence in told], lead)


def _trial(story: Story) -> Section:
    lead = (
        "The judge looks after every batch of reviewed pictures, and may: its test holds however often one looks. Shares and "
        "samples are smaller than by default (5, 25, 50, 100 %), so that a trial takes a minute."
    )
    rows = [
        [number, check.judgement.verdict.value if check.judgement else "-", check.sentence]
        for number, check in enumerate(story.checks, 1)
    ]
    blocks = (
        [table(["check", "verdict", "why"], rows)]
        if rows
        else [paragraph("There was no challenger to try.", tone="warn")]
    )
    return Section("The challenger's trial", blocks, lead)


def _accuracy(accuracy: Sequence[Accuracy]) -> Section:
    versions = list(dict.fromkeys(one.version for one in accuracy))
    by_key = {(one.version, one.condition): one for one in accuracy}
    rows = [
        [sky, *(by_key[version, sky].ap50 for version in versions), by_key[versions[0], sky].pictures,
         by_key[versions[0], sky].pedestrians]
        for sky in CONDITIONS
    ]  # fmt: skip
    headers = ["sky", *(f"AP50 of {version}" for version in versions), "pictures", "pedestrians"]
    lead = "Both models on the same new pictures, which neither of them has seen."
    return Section("Accuracy by condition, before and after", [table(headers, rows), _bars(accuracy, versions)], lead)


def _bars(accuracy: Sequence[Accuracy], versions: Sequence[str]) -> Markup:
    chart, axes = new_figure(height_inch=2.6)
    width = 0.8 / len(versions)
    for place, version in enumerate(versions):
        values = [one.ap50 for one in accuracy if one.version == version]
        axes.bar([index + place * width for index in range(len(values))], values, width, label=version)
    axes.set_xticks([index + 0.4 - width / 2 for index in range(len(CONDITIONS))], CONDITIONS)
    axes.set(ylabel="AP50", ylim=(0, 1))
    axes.legend(frameon=False)
    return figure(chart, "AP50 by sky: the champion of the beginning and the model that drift has asked for.")


def _ledger(story: Story) -> Section:
    rows = [
        [record.number, f"{record.at:%H:%M:%S}", record.draft.action.value, record.draft.subject, record.draft.reason]
        for record in story.records
    ]
    return Section(
        "The ledger", [table(["record", "UTC", "what", "about", "why"], rows)], "Every step, with its reason."
    )
