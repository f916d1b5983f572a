"""MLflow tracking when MLFLOW_TRACKING_URI is set; no other tracking service is ever called."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from belisha.components.shared.errors import InputError

VARIABLE = "MLFLOW_TRACKING_URI"
_EXPERIMENT = "belisha"


def refuse_missing_client() -> None:
    """Raise InputError before any work when tracking is asked for but its client is not installed."""
    if os.environ.get(VARIABLE) and importlib.util.find_spec("mlflow") is None:
        raise InputError(f"{VARIABLE} is set but mlflow is not installed: install mlflow-skinny, or unset {VARIABLE}")


def track(
    name: str,
    settings: dict[str, Any],
    history: Sequence[dict[str, float]],
    metrics: dict[str, float],
    files: Sequence[Path],
) -> bool:
    """Record one finished training; False when tracking is off.

    Args:
        name: of the run.
        settings: logged as parameters.
        history: one row an epoch, logged as metrics by step.
        metrics: logged as the last values.
        files: logged as artifacts.
    """
    if not os.environ.get(VARIABLE):
        return False
    import mlflow

    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", _EXPERIMENT))
    with mlflow.start_run(run_name=name):
        mlflow.log_params(settings)
        for row in history:
            mlflow.log_metrics({key: value for key, value in row.items() if key != "epoch"}, step=int(row["epoch"]))
        mlflow.log_metrics(metrics)
        for path in files:
            mlflow.log_artifact(str(path))
    return True
