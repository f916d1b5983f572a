"""The file that says how this installation retrains: policy, run parameters, and where Kubeflow Pipelines is.

policy: {on_alert: review, budget_runs: 1, cooldown_hours: 12}
parameters: {data_sources: ["s3://bucket/train.zip"], train_epochs: 50}
kfp: {endpoint: "http://ml-pipeline.kubeflow:8888", experiment: belisha, service_account: pipeline-runner}
deployment_name: belisha
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from belisha.components.retrain.settings import RetrainSettings
from belisha.components.shared.errors import InputError


class _Strict(BaseModel):
    """A section in which a typing mistake is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


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
    policy: RetrainSettings = Field(default_factory=RetrainSettings)
    parameters: dict[str, Any] = Field(default_factory=dict)
    kfp: KfpConfig = Field(default_factory=KfpConfig)

    @field_validator("policy", mode="before")
    @classmethod
    def _no_unknown_setting(cls, value: Any) -> Any:
        """Pydantic would ignore what a plain dataclass does not have."""
        known = {field.name for field in dataclasses.fields(RetrainSettings)}
        unknown = sorted(str(name) for name in set(value) - known) if isinstance(value, dict) else []
        if unknown:
            raise ValueError(f"{unknown[0]} is no setting of the policy; known are {', '.join(sorted(known))}")
        return value


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
