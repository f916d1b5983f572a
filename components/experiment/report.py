"""A check as a page for people: the verdict, how the evidence grew, the share's steps, every check, and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from belisha.components.experiment.contract import TrailPoint, trail_of
from belisha.components.experiment.judge import ExperimentVerdict, Judgement
from belisha.components.experiment.outcome import Judged, Winner, tally_of
from belisha.components.experiment.reviewed_evidence import Compared
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.experiment.sources import Gathered
from belisha.components.experiment.trial import ShareStep, Trial
from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.manifest import Box
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.report import (
    AMBER,
    BLUE,
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
from belisha.components.shared.verdict import Verdict

_TONES = {ExperimentVerdict.PROMOTE: "good", ExperimentVerdict.CONTINUE: "warn", ExperimentVerdict.STOP: "bad"}
_GATE_TONES = {Verdict.PASS: "good", Verdict.FAIL: "bad"}
_PICTURES = 6


def write_experiment_report(
    path: Path, gathered: Gathered, judgement: Judgement, settings: ExperimentSettings, at: datetime
) -> None:
    """Write `report.html`."""
    trial = gathered.evidence.trial
    trail = trail_of([one.judged for one in gathered.compared], settings.alpha_ratio)
    sections = [
        _verdict(gathered, judgement, settings),
        _growth(trail, _share_line(trial, judgement, at), settings),
        _checks(judgement),
        _cameras(gathered),
        *_pictures(gathered.compared),
        _basis(gathered, settings),
    ]
    lead = (
        f"Challenger {trial.challenger} against champion {trial.champion}, on trial since {trial.begun_at:%Y-%m-%d %H:%M} UTC; "
        f"checked {at:%Y-%m-%d %H:%M} UTC after record {trial.last_record} of the ledger."
    )
    write_report(path, f"Experiment: {judgement.verdict}", lead, sections)


def _verdict(gathered: Gathered, judgement: Judgement, settings: ExperimentSettings) -> Section:
    evidence = gathered.evidence
    tally, gate = evidence.tally, judgement.gates[-1]
    interval = f"{gate.interval[0]:.3f} to {gate.interval[1]:.3f} at all times" if gate.interval else "no data"
    required = dict(judgement.required)
    cards = facts(
        [
            Fact("share of the challenger", f"{100 * evidence.trial.share_ratio:g} %", "before this check"),
            Fact("disagreements won", f"{tally.wins} of {tally.decided}", interval),
            Fact("decided disagreements", str(tally.decided), f"{required.get('decided', '–')} for the next step"),
            Fact("pictures that wait for people", str(gathered.waiting)),
            Fact("answers of the challenger", f"{evidence.challenger_answers:,}", f"{settings.min_requests} a step"),
        ]
    )
    blocks = [paragraph(judgement.sentence, tone=_TONES[judgement.verdict]), cards]
    blocks += [paragraph(f"Missing: {one}", tone="warn") for one in judgement.missing]
    return Section("Verdict", blocks)


def _share_line(trial: Trial, judgement: Judgement, at: datetime) -> list[tuple[datetime, float, bool]]:
    """Time, share in percent, and whether a person set it, of every step and of this check."""
    promoted = judgement.verdict is ExperimentVerdict.PROMOTE
    after = 100.0 if promoted else 100 * judgement.state.challenger_traffic_ratio
    return [*((step.at, 100 * step.share_ratio, not step.by_judge) for step in trial.steps), (at, after, False)]


def _growth(
    trail: Sequence[TrailPoint], shares: Sequence[tuple[datetime, float, bool]], settings: ExperimentSettings
) -> Section:
    if not trail:
        return Section("How the evidence grew", [paragraph("no picture is decided yet", tone="warn"), _shares(shares)])
    last_at = {point.at: point for point in trail}
    by_number = _sequence(
        trail,
        [point.decided for point in trail],
        "decided disagreements",
        "The confidence sequence, picture by picture",
    )
    # The last finding holds until now.
    held = [*last_at.values(), trail[-1]]
    times = [*last_at, shares[-1][0]]
    by_time = _sequence(held, times, "reviewed at (UTC)", "The confidence sequence over time, import by import")
    blocks = [gallery([by_number, by_time, _evidence_plot(trail, settings), _shares(shares)], wide=True)]
    lead = (
        "Share of decided disagreements that the challenger wins. Each bound holds at all times at "
        f"{1 - settings.alpha_ratio:.0%}, so it may be looked at after every picture."
    )
    return Section("How the evidence grew", blocks, lead)


def _sequence(
    trail: Sequence[TrailPoint], where: Sequence[float] | Sequence[datetime], axis: str, title: str
) -> Markup:
    drawn, axes = new_figure(5.6, 3.2)
    axes.fill_between(
        where,
        [point.lower for point in trail],
        [point.upper for point in trail],
        step="post",
        color="#3b6fd4",
        alpha=0.18,
    )
    axes.step(where, [point.win_ratio for point in trail], where="post", color="#3b6fd4", label="estimate")
    axes.axhline(0.5, color="black", linewidth=1, label="no better, no worse")
    axes.set(xlabel=axis, ylabel="won by the challenger", ylim=(0, 1))
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    if where and isinstance(where[0], datetime):
        drawn.autofmt_xdate()
    last = trail[-1]
    return figure(drawn, f"{title}: {last.win_ratio:.3f}, {last.lower:.3f} to {last.upper:.3f} after {last.decided}.")


def _evidence_plot(trail: Sequence[TrailPoint], settings: ExperimentSettings) -> Markup:
    drawn, axes = new_figure(5.6, 3.2)
    axes.step(
        [point.decided for point in trail], [max(point.e_value, 1e-6) for point in trail], where="post", color="#3b6fd4"
    )
    for step in settings.steps:
        if step.e_value > 0:
            axes.axhline(step.e_value, color="#c02626", linewidth=0.8, linestyle="--")
            axes.annotate(f"{100 * step.share_ratio:g} %", (trail[0].decided, step.e_value), fontsize=8, va="bottom")
    axes.set_yscale("log")
    axes.set(xlabel="decided disagreements", ylabel="e-value")
    return figure(drawn, "Evidence that the challenger is better; dashed: what each step of the share needs.")


def _shares(line: Sequence[tuple[datetime, float, bool]]) -> Markup:
    drawn, axes = new_figure(5.6, 3.2)
    axes.step([at for at, _, _ in line], [share for _, share, _ in line], where="post", color="#3b6fd4", marker=".")
    by_hand = [(at, share) for at, share, hand in line if hand]
    axes.plot([at for at, _ in by_hand], [share for _, share in by_hand], "o", color="#eba000")
    axes.set(xlabel="UTC", ylabel="challenger's share, %", ylim=(0, 105))
    drawn.autofmt_xdate()
    return figure(drawn, "Steps of the challenger's share" + (", dots: set by hand." if by_hand else "."))


def _checks(judgement: Judgement) -> Section:
    rows = [
        (Markup('<span class="{}">{}</span>').format(_GATE_TONES.get(gate.verdict, "warn"), gate.verdict), gate.name,
         gate.value, gate.bound, gate.sentence)
        for gate in judgement.gates
    ]  # fmt: skip
    lead = "FAIL takes the challenger out or, for the assignment, pauses the experiment; INCONCLUSIVE lets no step through."
    return Section("Checks", [table(("verdict", "check", "value", "bound", "finding"), rows)], lead)


def _cameras(gathered: Gathered) -> Section:
    judged = [one.judged for one in gathered.compared]
    cameras = sorted({one.camera for one in judged})
    rows = [
        (
            camera or "(unknown)",
            *(sum(one.camera == camera and one.winner is winner for one in judged) for winner in Winner),
        )
        for camera in cameras
    ]
    blocks = [table(("camera", "challenger won", "champion won", "ties"), rows), _by_pick(judged)]
    decided = [one.camera for one in judged if one.winner is not Winner.NEITHER]
    most = max((decided.count(camera) for camera in cameras), default=0)
    if decided and 2 * most > len(decided):
        share = most / len(decided)
        blocks.append(
            paragraph(f"One camera gives {share:.0%} of the evidence: the verdict is mostly about it.", tone="warn")
        )
    if gathered.left_out:
        rows_out = [(reason, number) for reason, number in sorted(gathered.left_out.items())]
        blocks.append(table(("reviewed, but not counted", "pictures"), rows_out))
    return Section("Reviewed pictures", blocks, "One row a camera; the verdict is about these cameras.")


def _by_pick(judged: Sequence[Judged]) -> Markup:
    """How many mistakes each model made; those of the uniform draw alone say what it makes in live traffic."""
    rows = []
    for pick in sorted({one.pick for one in judged}):
        own = tally_of(one for one in judged if one.pick == pick)
        pictures = own.decided + own.ties
        rows.append((pick, pictures, own.champion_mistakes / pictures, own.challenger_mistakes / pictures))
    headers = ("chosen for", "pictures", "champion's mistakes a picture", "challenger's")
    return table(headers, rows, "Uniform pictures alone stand for all traffic.")


def _pictures(compared: Sequence[Compared]) -> Iterator[Section]:
    decided = [one for one in compared if one.judged.winner is not Winner.NEITHER][-_PICTURES:]
    if not decided:
        return
    key = legend([(GREEN, "drawn by people"), (AMBER, "champion"), (BLUE, "challenger"), (GREY, "ignored")])
    reader = PictureReader()
    shown = [markup for one in decided for markup in _pair(one, reader)]
    yield Section("The last decided disagreements", [key, gallery(shown, wide=True)], "Each picture twice.")


def _pair(one: Compared, reader: PictureReader) -> Iterator[Markup]:
    judged = one.judged
    try:
        image_rgb = decode_rgb(reader.read(one.item.picture_uri, one.item.picture_id))
    except BelishaError as error:
        yield paragraph(f"picture {judged.picture_id[:12]} cannot be shown: {error}", tone="warn")
        return
    truth = [_layer(one.truth, ignore=False), _layer(one.truth, ignore=True)]
    sides = (
        ("champion", one.champion_xywh_px, judged.champion_mistakes, AMBER),
        ("challenger", one.challenger_xywh_px, judged.challenger_mistakes, BLUE),
    )
    for name, found, wrong, colour in sides:
        where = f"picture {judged.picture_id[:12]} of {judged.camera or 'an unknown camera'}"
        caption = f"{name}: {wrong} mistakes; {judged.winner} won; {where}"
        yield picture(image_rgb, caption, [*truth, BoxLayer(found, colour)], min_width_px=320)


def _layer(boxes: Sequence[Box], *, ignore: bool) -> BoxLayer:
    import numpy as np

    sides = [(box.x, box.y, box.width, box.height) for box in boxes if box.ignore is ignore]
    geometry: FloatArray = np.array(sides, np.float64).reshape(-1, 4)
    return BoxLayer(geometry, GREY if ignore else GREEN, line_px=3)


def _basis(gathered: Gathered, settings: ExperimentSettings) -> Section:
    trial = gathered.evidence.trial
    first = trial.steps[0].record
    steps = [
        (step.record, f"{step.at:%Y-%m-%d %H:%M:%S}", 100 * step.share_ratio, step.actor, _how(step, first))
        for step in trial.steps
    ]
    values = [(name, str(value)) for name, value in asdict(settings).items() if name != "steps"]
    asked = ", ".join(f"{100 * step.share_ratio:g} % at e-value {step.e_value:g}" for step in settings.steps)
    headers = ("record", "when (UTC)", "share, %", "who", "how")
    return Section(
        "What this stands on", [table(headers, steps), table(("setting", "value"), [("steps", asked), *values])]
    )


def _how(step: ShareStep, first_record: int) -> str:
    if step.record == first_record:
        return "as the trial began"
    return "the judge" if step.by_judge else "by hand"
