"""One page over a whole run, or over several: the decision on top, every step's own report below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from belisha.components.shared.report import Fact, Markup, Section, facts, paragraph, sections_of, table, write_report
from belisha.components.shared.verdict import Verdict
from belisha.pipelines.run_folder import RunFolder
from belisha.pipelines.run_summary import RunSummary, summarise

# Task, its report output, and what the reader calls it, most wanted first.
_STEP_REPORTS = (
    ("compare-with-champion", "report", "Decision"),
    ("validate-model", "report", "Validation"),
    ("train-detector", "report", "Training"),
    ("evaluate-baselines", "report", "Baselines"),
    ("split-dataset", "report", "Split"),
    ("acquire-pictures", "card", "Data card"),
)
# What a reader wants to see at once; the rest unfolds.
_OPEN = ("Decision", "Validation", "Training")
_TONES = {Verdict.PASS: "good", Verdict.INCONCLUSIVE: "warn", Verdict.ERROR: "bad", Verdict.FAIL: "bad"}
_COMPARED = (
    "test_ap50",
    "test_ap50_95",
    "test_precision",
    "test_recall",
    "test_mr2_reasonable",
    "gap_ap50",
    "test_ece",
)


def write_run_report(
    path: Path, folders: Sequence[RunFolder], title: str = "Training run", *, more: Sequence[Section] = ()
) -> None:
    """Write the page; several runs stand in the order given, with a table that compares them.

    Args:
        path: of the page.
        folders: of the runs.
        title: of the page.
        more: what came after the runs, shown before their steps.

    Raises:
        ContractError: a run has not finished.
    """
    summaries = [summarise(folder) for folder in folders]
    blocks = [block for summary in summaries for block in _outcome(summary)]
    overview = [Section("Outcome", blocks)]
    if len(summaries) > 1:
        overview.append(_comparison(summaries))
    steps = [_steps(folder, len(folders) > 1) for folder in folders]
    sections = [*overview, *more, *(section for group in steps for section in group)]
    write_report(path, title, summaries[-1].decision, sections)


def _outcome(summary: RunSummary) -> list[Markup]:
    numbers = [
        Fact(name.removeprefix("test_").replace("_", " "), f"{summary.headline[name]:.3f}")
        for name in ("test_ap50", "test_ap50_95", "test_recall", "test_precision")
        if name in summary.headline
    ]
    tone = _TONES[summary.verdict]
    return [
        facts([Fact(summary.run_id, str(summary.verdict), tone=tone), *numbers]),
        paragraph(summary.decision, tone=tone),
        paragraph(summary.accuracy),
        paragraph(summary.released),
    ]


def _comparison(summaries: Sequence[RunSummary]) -> Section:
    names = [name for name in _COMPARED if any(name in summary.headline for summary in summaries)]
    rows = [[name, *(summary.headline.get(name) for summary in summaries)] for name in names]
    rows.append(["verdict", *(str(summary.verdict) for summary in summaries)])
    return Section("The runs side by side", [table(["figure", *(summary.run_id for summary in summaries)], rows)])


def _steps(folder: RunFolder, several: bool) -> list[Section]:
    suffix = f" · {folder.root.name}" if several else ""
    return [
        Section(f"{name}{suffix}", [_folded(name, folder.output(task, output))]) for task, output, name in _STEP_REPORTS
    ]


def _folded(name: str, report: Path) -> Markup:
    state = Markup(" open") if name in _OPEN else Markup("")
    return Markup("<details{}><summary>{}</summary>{}</details>").format(
        state, f"Show the {name.lower()}", Markup("").join(sections_of(report))
    )
