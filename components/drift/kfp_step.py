"""What the KFP step does around the check."""

from __future__ import annotations

from pathlib import Path

from belisha.components.drift.settings import DriftSettings, Mode
from belisha.components.drift.step import CheckRequest, run_check
from belisha.components.shared.kfp_artifacts import Artifact, MetricsArtifact, log_numbers
from belisha.components.shared.progress import default_sink


def run_step(
    storage_uri: str,
    deployment_name: str,
    mode: str,
    window_pictures: int,
    report: Artifact,
    metrics: MetricsArtifact,
) -> str:
    """Check with KFP's artifacts; gives the verdict."""
    usual = DriftSettings()
    settings = DriftSettings(
        mode=Mode(mode),
        window_pictures=window_pictures,
        min_window_pictures=max(2, usual.min_window_pictures * window_pictures // usual.window_pictures),
        min_reference_pictures=usual.min_reference_pictures * window_pictures // usual.window_pictures,
    )
    request = CheckRequest(
        storage_uri, deployment_name=deployment_name, settings=settings, report_file=Path(report.path)
    )
    check = run_check(request, default_sink()).check
    windows = [window for finding in check.strata for window in finding.windows if window.judged]
    flagged = sum(window.flagged for window in windows)
    log_numbers(metrics, {"windows_judged": float(len(windows)), "windows_flagged": float(flagged)})
    return check.verdict.value
