"""The file that says how this installation retrains: policy, run parameters, and where Kubeflow Pipelines is.

policy: {on_alert: review, budget_runs: 1, cooldown_hours: 12}
parameters: {data_sources: ["s3://bucket/train.zip"], train_epochs: 50}
kfp: {endpoint: "http://ml-pipeline.kubeflow:8888", experiment: belisha, service_account: pipeline-runner}
deployment_name: belisha
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from belisha.components.retrain.settings import OnAlert, RetrainSettings
from belisha.components.shared.errors import InputError


class _Strict(BaseModel):
    """A section in which a typing mistake is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class PolicyConfig(_Strict):
    """See `RetrainSettings`."""

    on_alert: OnAlert = OnAlert.REVIEW
    review_pictures: int = 75
    min_reviewed_pictures: int = 50
    max_f1_drop: float = 0.05
    persistent_alerts: int = 2
    budget_runs: int = 1
    cooldown_hours: float = 12.0
    replace_trial: bool = False
    max_run_hours: float = 72.0
    max_attempts: int = 5

    def settings(self) -> RetrainSettings:
        """As the policy takes it; raises InputError on a value that cannot be meant."""
        return RetrainSettings(**self.model_dump())


class KfpConfig(_Strict):
    """Where Kubeflow Pipelines is, and what runs there."""

    endpoint: str = ""
    ui: str = ""
    namespace: str = ""
    token_file: str = ""
    experiment: str = "belisha"
    pipeline: str = "belisha-training"
    pipeline_root: str = ""
    service_account: str = ""


class RetrainConfig(_Strict):
    """The whole file."""

    deployment_name: str = "belisha"
    policy: PolicyConfig = Field(default_factory=PolicyConfig)
    parameters: dict[str, Any] = Field(default_factory=dict)
    kfp: KfpConfig = Field(default_factory=KfpConfig)


def read_config(path: Path | None) -> RetrainConfig:
    """The file's settings, or the defaults without one; raises InputError naming the first key that is wrong."""
    if path is None:
        return RetrainConfig()
    try:
        value = yaml.safe_load(path.read_bytes()) or {}
        return RetrainConfig.model_validate(value)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give a YAML file, see docs/retraining.md"
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path} is no YAML ({str(error).splitlines()[0]}): see docs/retraining.md") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path}: {where}: {first['msg']}; see docs/retraining.md") from None
