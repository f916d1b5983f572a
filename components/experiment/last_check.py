"""What the judge remembers of its last check of an experiment: when it was, what it asked, and the gateway's counters then.

    <storage>/experiments/<champion>-<challenger>-<record>/last_check.json     replaced by every check

No step stands on it: without it the guards look at the whole count, and `status` asks what the defaults ask.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from belisha.components.experiment.gateway_levels import Counted
from belisha.components.experiment.settings import ExperimentSettings, Step
from belisha.components.experiment.trial import Trial
from belisha.components.shared.errors import BelishaError, NotFoundError
from belisha.components.shared.files import canonical_json
from belisha.components.shared.storage import ObjectStore

LAST_CHECK_SCHEMA = "belisha.experiment_check/1"
EXPERIMENTS_PREFIX = "experiments"


@dataclass(frozen=True, slots=True)
class LastCheck:
    """A check.

    Attributes:
        at: when.
        sentence: its verdict.
        settings: what it asked.
        counted: the gateway's counters; None where none was asked.
    """

    at: datetime
    sentence: str
    settings: ExperimentSettings
    counted: Counted | None = None


def folder_of(trial: Trial) -> str:
    """The experiment's folder in the storage."""
    return f"{EXPERIMENTS_PREFIX}/{trial.name}"


def remember(store: ObjectStore, trial: Trial, check: LastCheck) -> None:
    """Keep a check in place of the one before; raises StorageError."""
    value = {
        "schema": LAST_CHECK_SCHEMA, "at": check.at.isoformat(), "sentence": check.sentence,
        "settings": asdict(check.settings), "counted": asdict(check.counted) if check.counted else None,
    }  # fmt: skip
    store.write(_key(trial), canonical_json(value))


def remembered(store: ObjectStore, trial: Trial) -> LastCheck | None:
    """The last check; None where there was none, or one that this code cannot read."""
    try:
        value = json.loads(store.read(_key(trial)))
        if value["schema"] != LAST_CHECK_SCHEMA:
            return None
        counted = Counted(**value["counted"]) if value["counted"] else None
        return LastCheck(datetime.fromisoformat(value["at"]), value["sentence"], _settings(value["settings"]), counted)
    except (NotFoundError, ValueError, KeyError, TypeError, AttributeError, BelishaError):
        return None


def _settings(value: dict[str, Any]) -> ExperimentSettings:
    return ExperimentSettings(**{**value, "steps": tuple(Step(**step) for step in value["steps"])})


def _key(trial: Trial) -> str:
    return f"{folder_of(trial)}/last_check.json"
