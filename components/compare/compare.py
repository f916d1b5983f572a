"""Compare a candidate with the champion on the sealed test part and write the decision."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from belisha.components.compare import gates as judging
from belisha.components.compare.decision import Decision, sentence_of, write_decision
from belisha.components.compare.disagreement import worst_disagreements
from belisha.components.compare.evidence import Evidence
from belisha.components.compare.inputs import (
    Candidate,
    TestPart,
    champion_of,
    read_baselines,
    read_candidate,
    read_test_part,
)
from belisha.components.compare.measure import Rival, measure, run_champion
from belisha.components.compare.power import detectable_difference
from belisha.components.compare.report import ReportInput, write_decision_report
from belisha.components.compare.settings import GateSettings
from belisha.components.shared.errors import EXIT_RETRY, BelishaError, InputError, NoDataError
from belisha.components.shared.evaluation_artifact import REPORT_FILE
from belisha.components.shared.files import directory_aside
from belisha.components.shared.model_artifact import ModelInfo, read_model_info
from belisha.components.shared.progress import ProgressSink
from belisha.components.shared.registry import ModelVersion, open_registry
from belisha.components.shared.verdict import Gate, Verdict

_SHOWN_PICTURES = 6


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where everything is; as `compare` takes it."""

    dataset_dir: Path
    split_dir: Path
    model_dir: Path
    evaluation_dir: Path
    baseline_dir: Path | None
    storage_uri: str
    run_id: str


def compare(
    dataset_dir: Path,
    split_dir: Path,
    model_dir: Path,
    evaluation_dir: Path,
    baseline_dir: Path | None,
    out_dir: Path,
    storage_uri: str,
    run_id: str,
    gates: GateSettings,
    progress: ProgressSink,
) -> Decision:
    """Judge the candidate and write `decision.json` and `report.html` into `out_dir`, whole or not at all.

    What cannot be compared (other test parts, missing pictures, damaged files) is an ERROR verdict with the reason, so that
    a pipeline keeps the evidence; a passing fault of the store is raised, so that the step is tried again.

    Args:
        dataset_dir: of the labels.
        split_dir: whose test part is opened for this run; the same run counts as one look.
        model_dir: of the candidate.
        evaluation_dir: of the candidate, as validation wrote it.
        baseline_dir: of the baselines' detections; None leaves INCONCLUSIVE whether the candidate beats them.
        out_dir: replaced as a whole.
        storage_uri: of pictures, registry and ledger.
        run_id: of the run.
        gates: every bound.
        progress: told of the slow parts.

    Raises:
        InputError: no run id, or the candidate's own folder is not a model.
        StorageError: the store could not be reached; try again.
    """
    if not run_id:
        raise InputError(
            "a comparison needs the id of its run: give --run-id, for each run may look at the test part once"
        )
    info = read_model_info(model_dir)
    inputs = Inputs(dataset_dir, split_dir, model_dir, evaluation_dir, baseline_dir, storage_uri, run_id)
    with directory_aside(out_dir) as aside, tempfile.TemporaryDirectory(prefix="belisha-champion-") as cache:
        decision, shown = _decide(inputs, info, gates, Path(cache), progress)
        write_decision(aside, decision)
        write_decision_report(aside / REPORT_FILE, decision, shown)
    return decision


def _decide(
    inputs: Inputs, info: ModelInfo, settings: GateSettings, cache_dir: Path, progress: ProgressSink
) -> tuple[Decision, ReportInput]:
    """The decision, or one that says why there is none; what was known by then is kept in it."""
    registry = open_registry(inputs.storage_uri)
    blank = Decision(Verdict.ERROR, "", (), inputs.run_id, info.digest, settings)
    try:
        version = champion_of(registry, info.digest, inputs.run_id)
        blank = replace(blank, champion=_champion_to_json(version))
        test = read_test_part(inputs.dataset_dir, inputs.split_dir, registry, inputs.run_id)
        blank = replace(blank, split_digest=test.split_digest, images=test.truth.n_images, looks=test.looks)
        candidate = read_candidate(inputs.evaluation_dir, info, test)
        baselines = read_baselines(inputs.baseline_dir, test)
        rival = None
        if version is not None:
            rival = run_champion(version, registry.fetch(version.version, cache_dir), test, progress)
        evidence = measure(inputs.model_dir, info.digest, test, candidate, baselines, rival, settings, progress)
        return _judged(blank, evidence, test, candidate, rival, info)
    except BelishaError as error:
        if error.exit_code == EXIT_RETRY:
            raise
        return _unjudged(blank, error), ReportInput()


def _judged(
    blank: Decision, evidence: Evidence, test: TestPart, candidate: Candidate, rival: Rival | None, info: ModelInfo
) -> tuple[Decision, ReportInput]:
    found = judging.decide(evidence, blank.settings)
    verdict = judging.verdict_of(found)
    champion = evidence.champion
    decision = replace(
        blank,
        verdict=verdict,
        sentence=sentence_of(verdict, found, champion.version if champion else None),
        gates=found,
        metrics=dict(evidence.metrics),
        champion_metrics=_champion_metrics(evidence),
        evaluation_digest=candidate.evaluation_digest,
        groups=evidence.groups,
        detectable_ap50_95_gain=detectable_difference(champion.ap50_95) if champion else None,
        warnings=tuple(_warnings(evidence, test, blank.settings)),
    )
    if rival is None:
        return decision, ReportInput(evidence)
    thresholds = (info.thresholds.score, rival.score_threshold)
    both = (candidate.by_image, rival.by_image)
    return decision, ReportInput(evidence, worst_disagreements(test.pictures, *both, thresholds, _SHOWN_PICTURES))


def _unjudged(blank: Decision, error: BelishaError) -> Decision:
    verdict = Verdict.INCONCLUSIVE if isinstance(error, NoDataError) else Verdict.ERROR
    gate = Gate("evidence", verdict, str(error))
    version = blank.champion["version"] if blank.champion else None
    return replace(blank, verdict=verdict, sentence=sentence_of(verdict, (gate,), version), gates=(gate,))


def _champion_to_json(version: ModelVersion | None) -> dict[str, str] | None:
    return None if version is None else {"version": version.version, "model_digest": version.model_digest}


def _champion_metrics(evidence: Evidence) -> dict[str, float]:
    champion = evidence.champion
    if champion is None:
        return {}
    found = {"ap50": champion.ap50, "ap50_95": champion.ap50_95, "mr2_reasonable": champion.mr2_reasonable}
    return {name: difference.rival for name, difference in found.items() if difference is not None}


def _warnings(evidence: Evidence, test: TestPart, settings: GateSettings) -> list[str]:
    warnings = [test.warning] if test.warning else []
    if evidence.groups < settings.min_test_groups:
        warnings.append(
            f"the test part has only {evidence.groups} independent groups, so single pictures were resampled against the "
            "baselines: neighbouring pictures resemble each other and the bounds are too narrow"
        )
    return warnings
