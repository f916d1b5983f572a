"""How eager the policy is; the defaults are those of a team with one GPU and people who review."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from belisha.components.shared.errors import InputError


class OnAlert(enum.StrEnum):
    """What a confirmed drift alert does first."""

    REVIEW = "review"
    RETRAIN = "retrain"


@dataclass(frozen=True, slots=True)
class RetrainSettings:
    """What the policy may do.

    Attributes:
        on_alert: ask people first, or train at once.
        review_pictures: pictures that people are asked to look at, 50 to 100.
        min_reviewed_pictures: as many must be reviewed before they say anything.
        max_f1_drop: retraining is due when the champion's F1 on them is below its test's by more than this, by its upper bound.
        persistent_alerts: alerts in a row after which training starts although nobody has reviewed.
        budget_runs: runs that may be started in 24 hours.
        cooldown_hours: after a run's start and after its end in which no other starts.
        replace_trial: also while a challenger is on trial, whose trial a new challenger would end.
        max_run_hours: a run that has not ended by then keeps no other from starting.
        max_attempts: at starting, or going on with, one run.
    """

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

    def __post_init__(self) -> None:
        """Raise InputError on a value that cannot be meant."""
        bounds = {
            "review_pictures": (50, 100),
            "min_reviewed_pictures": (1, self.review_pictures),
            "max_f1_drop": (0, 1),
            "persistent_alerts": (1, 100),
            "budget_runs": (0, 1000),
            "cooldown_hours": (0, 24 * 365),
            "max_run_hours": (0, 24 * 365),
            "max_attempts": (1, 100),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name} is {value}, expected {low} to {high}")
