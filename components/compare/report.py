"""The decision as a page for people: the verdict on top, every gate with its interval, plots, and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from belisha.components.compare.decision import Decision
from belisha.components.compare.disagreement import Disagreement
from belisha.components.compare.evidence import Difference, Evidence
from belisha.components.compare.power import detectable_difference
from belisha.components.shared.inference import read_image
from belisha.components.shared.manifest import boxes_of
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.report import (
    AMBER,
    BLUE,
    GREEN,
    BoxLayer,
    Markup,
    Section,
    figure,
    gallery,
    new_figure,
    paragraph,
    picture,
    table,
    write_report,
)
from belisha.components.shared.verdict import Gate, Verdict

_TONES = {Verdict.PASS: "good", Verdict.INCONCLUSIVE: "warn", Verdict.ERROR: "bad", Verdict.FAIL: "bad"}


@dataclass(frozen=True, slots=True)
class ReportInput:
    """What the page shows beside the decision; nothing of it when the comparison ended in an error."""

    evidence: Evidence | None = None
    disagreements: Sequence[Disagreement] = ()


def write_decision_report(path: Path, decision: Decision, shown: ReportInput) -> None:
    """Write `report.html`."""
    sections = [_verdict(decision), _gates(decision)]
    if shown.evidence is not None:
        sections += _figures(shown.evidence, decision)
    if shown.disagreements:
        sections.append(_pictures(shown.disagreements))
    sections.append(_provenance(decision))
    against = f"champion {decision.champion['version']}" if decision.champion else "no champion yet"
    lead = f"Candidate {decision.model_digest[:12]} of run {decision.run_id}, against {against}."
    write_report(path, f"Decision: {decision.verdict}", lead, sections)


def _verdict(decision: Decision) -> Section:
    rows = [
        (name, decision.metrics.get(name), decision.champion_metrics.get(name))
        for name in sorted({*decision.metrics, *decision.champion_metrics})
    ]
    rival = f"champion {decision.champion['version']}" if decision.champion else "champion (none yet)"
    blocks = [paragraph(decision.sentence, tone=_TONES[decision.verdict])]
    blocks += [paragraph(warning, tone="warn") for warning in decision.warnings]
    caption = f"On {decision.images} sealed test pictures in {decision.groups} groups; MR⁻² is better when lower."
    return Section("Verdict", [*blocks, table(("metric", "candidate", rival), rows, caption)])


def _gates(decision: Decision) -> Section:
    alpha = decision.settings.alpha_ratio
    rows = [
        (_tinted(gate), gate.name, gate.value, gate.bound, *_ends(gate), _kind(gate), gate.sentence)
        for gate in decision.gates
    ]
    lower, upper = f"lower {1 - alpha:.0%} bound", f"upper {1 - alpha:.0%} bound"
    headers = ("verdict", "gate", "value", "limit", lower, upper, "counts", "finding")
    return Section("Gates", [table(headers, rows)], "The worst of the blocking gates is the verdict.")


def _tinted(gate: Gate) -> Markup:
    return Markup('<span class="{}">{}</span>').format(_TONES[gate.verdict], gate.verdict)


def _ends(gate: Gate) -> tuple[float | None, float | None]:
    return gate.interval if gate.interval is not None else (None, None)


def _kind(gate: Gate) -> str:
    return "blocking" if gate.blocking else "listed only"


def _figures(evidence: Evidence, decision: Decision) -> Iterator[Section]:
    alpha, champion = decision.settings.alpha_ratio, evidence.champion
    shown: dict[str, Difference] = {f"AP50 over {name}": margin for name, margin in evidence.baselines.items()}
    if champion is not None:
        shown = {"AP50-95 over the champion": champion.ap50_95, "AP50 over the champion": champion.ap50, **shown}
        if champion.mr2_reasonable is not None:
            shown["MR⁻² (lower is better) over the champion"] = champion.mr2_reasonable
    plots = [_distribution(name, difference, alpha) for name, difference in shown.items()]
    if plots:
        lead = "Each resample draws whole groups of pictures again and measures both models on the same draw."
        yield Section("Resampled differences", [gallery(plots)], lead)
    if champion is not None and champion.slices:
        rows = [(part.kind, part.name, part.pedestrians, *_slice_numbers(part.ap50, alpha)) for part in champion.slices]
        headers = ("kind", "slice", "pedestrians", "candidate AP50", "champion AP50", "difference", "lower", "upper")
        yield Section("Slices", [table(headers, rows)], "A dash means too few pedestrians for a figure.")


def _slice_numbers(difference: Difference | None, alpha: float) -> tuple[float | None, ...]:
    if difference is None:
        return (None,) * 5
    return (difference.candidate, difference.rival, difference.estimate, *difference.bounds(alpha))


def _distribution(name: str, difference: Difference, alpha: float) -> Markup:
    figure_, axes = new_figure(5.0, 3.0)
    low, high = difference.bounds(alpha)
    axes.hist(difference.resampled, bins=40, color="#3b6fd4", alpha=0.75)
    axes.axvline(0, color="black", linewidth=1.2, label="no difference")
    axes.axvline(difference.estimate, color="#c02626", linewidth=1.2, label="estimate")
    axes.axvspan(low, high, color="#3b6fd4", alpha=0.12, label="between the bounds")
    axes.set_xlabel(f"difference in {name}")
    axes.set_ylabel("resamples")
    axes.legend(fontsize=8, frameon=False)
    smallest = detectable_difference(difference)
    caption = (
        f"{name}: {difference.estimate:+.4f}, bounds {low:+.4f} to {high:+.4f}; a true difference of {smallest:.4f} "
        "would be found in 80 % of such tests."
    )
    return figure(figure_, caption)


def _pictures(disagreements: Sequence[Disagreement]) -> Section:
    reader = PictureReader()
    pictures = [markup for item in disagreements for markup in _pair(item, reader)]
    lead = "Each picture twice. Green: labelled; blue: candidate; amber: champion; each at its own serving threshold."
    return Section("Where the models disagree most", [gallery(pictures)], lead)


def _pair(item: Disagreement, reader: PictureReader) -> tuple[Markup, Markup]:
    image_rgb, truth = read_image(item.picture, reader), boxes_of(item.picture, ignore=False)
    sides = (
        ("candidate", item.candidate, item.candidate_found, BLUE),
        ("champion", item.champion, item.champion_found, AMBER),
    )
    shown = []
    for name, found, right, colour in sides:
        labels = [f"{score:.2f}" for score in found.scores]
        layers = (BoxLayer(truth, GREEN), BoxLayer(found.boxes_xywh_px, colour, labels))
        caption = (
            f"{name}: {right} of {len(truth)} found, {len(found) - right} false; picture {item.picture.image_id[:12]}"
        )
        shown.append(picture(image_rgb, caption, layers))
    return shown[0], shown[1]


def _provenance(decision: Decision) -> Section:
    champion = decision.champion or {}
    rows = [
        ("run", decision.run_id),
        ("candidate", decision.model_digest),
        ("champion", f"{champion.get('version', 'none')} {champion.get('model_digest', '')}"),
        ("evaluation", decision.evaluation_digest),
        ("split", decision.split_digest),
        ("looks at this test part", decision.looks),
        *(asdict(decision.settings).items()),
    ]
    return Section("What this stands on", [table(("what", "value"), rows)])
