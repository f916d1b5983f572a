"""What the judge asks of a challenger: the steps of its share, the evidence for each, and the guards."""

from __future__ import annotations

from dataclasses import dataclass

from belisha.components.shared.errors import InputError

UNITS = ("camera", "client", "request")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the challenger's share.

    Attributes:
        share_ratio: of the requests, 0..1; 1 is the promotion.
        e_value: evidence against "the challenger wins at most half of the disagreements" that this step needs. A challenger
            that is no better takes it in at most 1 / e_value of all experiments.
    """

    share_ratio: float
    e_value: float


# The first step is free: without traffic there would never be any data. At most half of the challengers that are no better get
# to 25 %, a fifth to 50 %, a twentieth is promoted.
STEPS = (Step(0.05, 0.0), Step(0.25, 2.0), Step(0.5, 5.0), Step(1.0, 20.0))


@dataclass(frozen=True, slots=True)
class ExperimentSettings:
    """Settings of the judge.

    Attributes:
        steps: rising; the last one is the promotion.
        alpha_ratio: error rate of each bound and of the test that ends a challenger as worse.
        min_decided: decided disagreements before any step on evidence.
        min_decided_promotion: and before the promotion.
        max_decided: after so many without a promotion the models count as not distinguishable, and the experiment ends.
        max_days: it ends after so many days, too.
        min_requests: answers of the challenger since the share last changed before the next step.
        min_step_seconds: time since then.
        max_error_ratio: share of failed attempts that the challenger may have, 0..1.
        min_errors: fewer failures breach no guard.
        max_p95_seconds: 95th percentile of latency that the challenger may have; 0 is off.
        max_p95_ratio: the same over the champion's at the same time; 0 is off.
        guard_seconds: how far back the guards look.
        srm_alpha_ratio: anytime-valid p-value below which the assignment counts as broken.
        unit: what keeps its model, as the routing policy's `sticky_by` has it: camera, client or request.
        mesh_draws: the cluster's mesh splits the traffic, which marks no request as drawn: all but shadows count as drawn.
        min_picture_seconds: of one camera's pictures within so many seconds only one counts.
        settle_seconds: after a change of the share the dice do not count for so long, until everybody follows it.
        log_days: how far back the log is read at most, where a share has stood for longer.
        log_lag_seconds: rows younger than this may not be in the request log yet.
    """

    steps: tuple[Step, ...] = STEPS
    alpha_ratio: float = 0.05
    min_decided: int = 10
    min_decided_promotion: int = 20
    max_decided: int = 500
    max_days: float = 30.0
    min_requests: int = 200
    min_step_seconds: float = 600.0
    max_error_ratio: float = 0.01
    min_errors: int = 3
    max_p95_seconds: float = 1.0
    max_p95_ratio: float = 1.5
    guard_seconds: float = 3600.0
    srm_alpha_ratio: float = 0.001
    unit: str = "camera"
    mesh_draws: bool = False
    min_picture_seconds: float = 30.0
    settle_seconds: float = 30.0
    log_days: float = 7.0
    log_lag_seconds: float = 120.0

    def __post_init__(self) -> None:
        shares = [step.share_ratio for step in self.steps]
        if shares != sorted(set(shares)) or not shares or shares[0] <= 0 or shares[-1] != 1.0:
            raise InputError(f"the steps are {shares}, expected shares that rise to 1: correct them")
        if self.unit not in UNITS:
            raise InputError(f"the unit is {self.unit!r}, expected one of {', '.join(UNITS)}: correct it")
        for name in ("alpha_ratio", "srm_alpha_ratio", "max_error_ratio"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected a number between 0 and 1: correct it")
        for name in ("min_decided", "max_decided", "min_requests", "max_days", "log_days"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}, expected more than 0: correct it")

    def step_after(self, share_ratio: float) -> Step:
        """The next step above a share; the promotion where the share is past all others."""
        return next((step for step in self.steps if step.share_ratio > share_ratio + 1e-9), self.steps[-1])


def parse_steps(text: str) -> tuple[Step, ...]:
    """Steps from `SHARE:EVALUE,…` in percent, such as `5:0,25:2,50:5,100:20`; raises InputError."""
    try:
        pairs = [part.split(":") for part in text.split(",")]
        return tuple(Step(float(share) / 100, float(evidence)) for share, evidence in pairs)
    except ValueError:
        raise InputError(f"expected steps such as 5:0,25:2,50:5,100:20 (percent:e-value), got {text!r}") from None
