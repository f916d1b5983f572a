"""The policy file: business rules that serving frameworks lack, as data that is checked once when it is read.

How large the challenger's share is does not stand here but in the ledger: a policy says who takes part in the experiment, not
how far it has come.
"""

from __future__ import annotations

import fnmatch
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from belisha.components.shared.errors import InputError

POLICY_SCHEMA = "belisha.policy/1"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _window(text: str) -> str:
    begin, dash, end = text.partition("-")
    if not dash:
        raise ValueError('expected "HH:MM-HH:MM"')
    time.fromisoformat(begin), time.fromisoformat(end)
    return text


class When(_Strict):
    """Conditions of a rule; all that are given must hold. Lists hold shell patterns such as `gate-*`."""

    clients: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    hours_utc: Annotated[str, AfterValidator(_window)] | None = None

    def matches(self, *, client: str, camera: str, at: datetime) -> bool:
        """Whether a request from this client and camera at this moment (timezone-aware, UTC) meets every condition."""
        return (
            _matches_any(client, self.clients)
            and _matches_any(camera, self.cameras)
            and (self.hours_utc is None or _within(at.time(), self.hours_utc))
        )


class Rule(_Strict):
    """One rule; the first whose conditions hold decides, the rest are not asked.

    Attributes:
        name: for people, logs and refusals.
        when: conditions; none at all means always.
        deny: refuse with this sentence.
        use: always answer from this role.
        may_choose: honour the caller's own choice of a model.
    """

    name: str = Field(min_length=1)
    when: When = When()
    deny: str | None = None
    use: Literal["champion", "challenger"] | None = None
    may_choose: bool = False

    @model_validator(mode="after")
    def _says_one_thing(self) -> Rule:
        if sum((self.deny is not None, self.use is not None, self.may_choose)) != 1:
            raise ValueError("expected exactly one of deny, use, may_choose")
        return self


class CameraClass(_Strict):
    """Cameras that must never wait for a model above their size."""

    name: str = Field(min_length=1)
    cameras: tuple[str, ...] = Field(min_length=1)
    max_model_bytes: int = Field(gt=0)


class Policy(_Strict):
    """A whole policy file.

    Attributes:
        experiment: salt of the sticky assignment; a new name draws the cameras anew.
        sticky_by: what keeps its model for the length of an experiment; `request` draws each request.
        shadow_ratio: share of requests, 0..1, that the other model answers too, for the log alone.
        camera_classes: the first whose pattern fits a camera counts.
        rules: asked in order.
    """

    schema_: Literal["belisha.policy/1"] = Field(alias="schema", default="belisha.policy/1")
    experiment: str = "default"
    sticky_by: Literal["camera", "client", "request"] = "camera"
    shadow_ratio: float = Field(default=0.0, ge=0, le=1)
    camera_classes: tuple[CameraClass, ...] = ()
    rules: tuple[Rule, ...] = ()

    def rule_for(self, *, client: str, camera: str, at: datetime) -> Rule | None:
        """The first rule that matches, or None."""
        return next((rule for rule in self.rules if rule.when.matches(client=client, camera=camera, at=at)), None)

    def max_model_bytes(self, camera: str) -> int | None:
        """The size bound of a camera, or None when it has none."""
        fitting = (item.max_model_bytes for item in self.camera_classes if _matches_any(camera, item.cameras))
        return next(fitting, None)


def read_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        InputError: the file cannot be read or says something that is not understood; names the place.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Policy.model_validate(value if value is not None else {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path}: {where}: {first['msg']}: correct the policy") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is no readable policy ({str(error).splitlines()[0]}): correct it") from None


def _matches_any(value: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)


def _within(moment: time, window: str) -> bool:
    """Whether a time of day lies in `HH:MM-HH:MM`; a window may run over midnight."""
    begin, end = (time.fromisoformat(part) for part in window.split("-"))
    return begin <= moment < end if begin <= end else moment >= begin or moment < end
