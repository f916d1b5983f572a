"""The drift report: what changed in words, in distributions and in pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from belisha.components.drift.check import DriftCheck, Evidence
from belisha.components.drift.drift_file import REPORT_FILE
from belisha.components.drift.examples import Example, examples_of
from belisha.components.drift.findings import DriftVerdict, FeatureFinding, StratumFinding, WindowFinding
from belisha.components.drift.judging import words_of
from belisha.components.drift.settings import Mode
from belisha.components.shared import report
from belisha.components.shared.drift_features import FEATURE_NAMES, WORDS, FeatureRows, FloatArray

_STRATA_SHOWN = 3
_FEATURES_SHOWN = 4
_BINS = 40
_TONES = {DriftVerdict.NO_DRIFT: "good", DriftVerdict.INSUFFICIENT: "warn", DriftVerdict.DRIFT: "bad"}
_WORDS = {
    DriftVerdict.NO_DRIFT: "no drift",
    DriftVerdict.INSUFFICIENT: "too little to judge",
    DriftVerdict.DRIFT: "drift",
    DriftVerdict.ERROR: "error",
}


def write_drift_report(folder: Path, check: DriftCheck, evidence: Evidence, pictures_uri: str) -> Path:
    """Write `report.html` into `folder`; pictures that cannot be read any more are left out.

    Args:
        folder: exists.
        check: what was found.
        evidence: the rows behind it.
        pictures_uri: the store of the training data's pictures.
    """
    sections = [
        _overview(check),
        *(
            _stratum_section(finding, check, evidence, pictures_uri)
            for finding in check.strata[:_STRATA_SHOWN]
            if finding.windows
        ),
        _method(check),
    ]
    title = f"Drift check of {check.deployment_name}: {_WORDS[check.verdict]}"
    path = folder / REPORT_FILE
    report.write_report(path, title, check.sentence, sections)
    return path


def _overview(check: DriftCheck) -> report.Section:
    windows = sum(window.judged for finding in check.strata for window in finding.windows)
    flagged = sum(len(finding.flagged_windows) for finding in check.strata)
    strata = (
        f"in {len(check.drifted)} of {len(check.strata)} strata" if check.drifted else f"strata: {len(check.strata)}"
    )
    items = [
        report.Fact("verdict", _WORDS[check.verdict], strata, _TONES.get(check.verdict, "")),
        report.Fact("windows flagged", f"{flagged} of {windows}", "in all strata"),
        report.Fact("champion", check.model_version, "whose answers were looked at"),
        report.Fact("reference", f"{check.reference_pictures:,}", f"pictures, from {check.reference_source}"),
    ]
    rows = [_overview_row(finding) for finding in check.strata]
    headers = ["stratum", "verdict", "windows flagged", "pictures", "reference", "finding"]
    return report.Section("Overview", [report.facts(items), report.table(headers, rows)])


def _overview_row(finding: StratumFinding) -> list[Any]:
    judged = sum(window.judged for window in finding.windows)
    return [
        finding.stratum.name,
        _WORDS[finding.verdict],
        f"{len(finding.flagged_windows)} of {judged}",
        sum(window.pictures for window in finding.windows),
        finding.reference_pictures,
        finding.sentence.removeprefix(f"{finding.stratum.name}: "),
    ]


def _stratum_section(
    finding: StratumFinding, check: DriftCheck, evidence: Evidence, pictures_uri: str
) -> report.Section:
    reference, rows = evidence.reference[finding.stratum], evidence.current[finding.stratum]
    current = rows.take(slice(max(0, len(rows) - check.settings.pictures_needed), len(rows)))
    shown = _shown_window(finding)
    blocks: list[Markup] = []
    if shown.judged:
        plotted = [feature for feature in shown.features if feature.feature in FEATURE_NAMES][:_FEATURES_SHOWN]
        plots = [_distribution(feature, reference, current) for feature in plotted]
        blocks = [
            *_pictures(reference, current, plotted[0], pictures_uri),
            report.gallery(plots, wide=True),
            _feature_table(shown, check.settings.mode),
        ]
    return report.Section(finding.stratum.name, [*blocks, _window_table(finding)], finding.sentence)


def _shown_window(finding: StratumFinding) -> WindowFinding:
    """The last flagged window, else the last one that was judged, else the last."""
    judged = [window for window in finding.windows if window.judged]
    return [*finding.windows, *judged, *finding.flagged_windows][-1]


def _feature_table(window: WindowFinding, mode: Mode) -> Markup:
    score = "-log10 p" if mode is Mode.TEXTBOOK else "score"
    headers = ["feature", score, "bound", "distance (0 to 1)", "median before", "median now", "finding"]
    rows = [
        [
            WORDS[one.feature], one.score, window.bound, one.effect_ratio, one.reference_median, one.current_median,
            words_of(one) if one.flagged else "",
        ]
        for one in window.features
    ]  # fmt: skip
    return report.table(headers, rows, f"Window that ended {window.end:%Y-%m-%d %H:%M} UTC, {window.pictures} pictures")


def _window_table(finding: StratumFinding) -> Markup:
    rows = [
        [
            f"{window.begin:%Y-%m-%d %H:%M:%S}",
            f"{window.end:%Y-%m-%d %H:%M:%S}",
            window.pictures,
            window.features[0].score if window.judged else None,
            window.bound if window.judged else None,
            ("flagged" if window.flagged else "clean") if window.judged else "too few pictures",
        ]
        for window in finding.windows
    ]
    return report.table(["from (UTC)", "to (UTC)", "pictures", "highest score", "bound", "finding"], rows, "Windows")


def _distribution(feature: FeatureFinding, reference: FeatureRows, current: FeatureRows) -> Markup:
    column = FEATURE_NAMES.index(feature.feature)
    before, now = reference.values[:, column], current.values[:, column]
    figure, axes = report.new_figure(5.0, 2.6)
    edges = _edges(before, now)
    for values, name, colour in ((before, "reference", "#2a6edc"), (now, "last windows", "#d72828")):
        weights = np.full(len(values), 1 / len(values))
        axes.hist(values, edges, weights=weights, alpha=0.5, label=f"{name} ({len(values):,})", color=colour)
    axes.set_xlabel(WORDS[feature.feature])
    axes.set_ylabel("share of pictures")
    axes.legend(frameon=False, fontsize=8)
    return report.figure(figure, words_of(feature))


def _edges(before: FloatArray, now: FloatArray) -> FloatArray:
    values = np.concatenate([before, now])
    low, high = float(values.min()), float(values.max())
    return np.linspace(low, high if high > low else low + 1, _BINS)


def _pictures(reference: FeatureRows, current: FeatureRows, feature: FeatureFinding, pictures_uri: str) -> list[Markup]:
    before, now = examples_of(reference, current, FEATURE_NAMES.index(feature.feature), pictures_uri)
    if not now:
        return [
            report.paragraph("No picture of these windows was kept for review, so there is none to show.", tone="warn")
        ]
    shown = [_picture(example, "then", feature) for example in before]
    return [report.gallery([*shown, *(_picture(example, "now", feature) for example in now)])]


def _picture(example: Example, when: str, feature: FeatureFinding) -> Markup:
    caption = f"{when}: {example.time:%Y-%m-%d %H:%M}, {WORDS[feature.feature]} {example.value:.3g}"
    return report.picture(example.image_rgb, caption)


def _method(check: DriftCheck) -> report.Section:
    settings = asdict(check.settings)
    rows = [[name.replace("_", " "), str(value)] for name, value in settings.items()]
    span = f"{check.reference_begin:%Y-%m-%d} to {check.reference_end:%Y-%m-%d}"
    lead = (
        f"Reference {check.reference_digest[:16]} from {check.reference_source}, {check.reference_pictures:,} pictures"
        f"{f' of {span}' if check.reference_source == 'log' else ''}; predictions before {check.until:%Y-%m-%d %H:%M:%S} UTC."
    )
    return report.Section("How it was judged", [report.table(["setting", "value"], rows)], lead)
