"""A check as a pipeline step: the evidence, the report and headline figures to artifacts."""

from __future__ import annotations

from pathlib import Path

from belisha.components.experiment.contract import REPORT_FILE
from belisha.components.experiment.experiment import Check, judge_experiment
from belisha.components.experiment.prometheus_levels import PrometheusLevels
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.experiment.sources import Sources
from belisha.components.shared.files import write_bytes_atomic
from belisha.components.shared.kfp_artifacts import Artifact, MetricsArtifact, log_numbers, publish_report
from belisha.components.shared.report import write_report


def run_step(
    storage_uri: str,
    prometheus: tuple[str, str, str],
    unit: str,
    mesh_draws: bool,
    experiment: Artifact,
    report: Artifact,
    metrics: MetricsArtifact,
) -> str:
    """Check once and fill the artifacts; returns the verdict, empty where there is no challenger.

    Args:
        storage_uri: of everything.
        prometheus: its address, the deployment's name, and the namespace or an empty string.
        unit: see `ExperimentSettings`.
        mesh_draws: see there.
        experiment: folder of the evidence to write.
        report: page to write.
        metrics: headline figures to write.
    """
    url, deployment_name, namespace = prometheus
    matchers = f'namespace="{namespace}"' if namespace else ""
    asked = PrometheusLevels(url, deployment_name, matchers) if url else None
    settings = ExperimentSettings(unit=unit, mesh_draws=mesh_draws)
    check = judge_experiment(Sources(storage_uri, prometheus=asked), settings, Path(experiment.path))
    experiment.metadata["sentence"] = check.sentence
    log_numbers(metrics, headline(check))
    if check.judgement is None:
        write_report(Path(report.path), "Experiment: none", check.sentence, [])
        write_bytes_atomic(Path(experiment.path) / "nothing.txt", check.sentence.encode())
        return ""
    publish_report(Path(experiment.path) / REPORT_FILE, report)
    return check.judgement.verdict.value


def headline(check: Check) -> dict[str, float]:
    """The figures that compare checks, all finite."""
    if check.gathered is None or check.judgement is None:
        return {"share_ratio": 0.0}
    evidence, state = check.gathered.evidence, check.judgement.state
    tally = evidence.tally
    found = {"share_ratio": state.challenger_traffic_ratio, "wins": float(tally.wins), "losses": float(tally.losses)}
    return found if tally.win_ratio is None else {**found, "win_ratio": tally.win_ratio}
