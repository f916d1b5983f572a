"""Why a model is trained anew. A cause has a name that is the same for whoever notices it, and gets one run at most."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from belisha.components.shared.drift_alert import DriftAlert
from belisha.components.shared.errors import InputError
from belisha.components.shared.files import sha256_hex

_CAUSE_ID = re.compile(r"(drift|weekly|manual)-[A-Za-z0-9-]{1,50}")
_MOST_WORDS = 30
_MOST_TEXT = 500


class CauseKind(enum.StrEnum):
    """Who noticed."""

    DRIFT = "drift"
    WEEKLY = "weekly"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason to train.

    Attributes:
        cause_id: its name, e.g. `drift-0123456789abcdef` or `weekly-2026-W47`; letters, digits and hyphens.
        kind: who noticed.
        sentence: for people.
        reference_digest: of the reference that a drift alert left; alerts of one reference speak of the same change.
        model_version: champion whose reference was left; empty where the cause is about no model.
        repeated: how often in a row a drift alert came, this one counted.
    """

    cause_id: str
    kind: CauseKind
    sentence: str
    reference_digest: str = ""
    model_version: str = ""
    repeated: int = 1

    @property
    def run_name(self) -> str:
        """Name of the run that it gets: whoever starts it, it is the same run."""
        return run_name_of(self.cause_id)


def run_name_of(cause_id: str) -> str:
    """`retrain-` and the cause; raises InputError on what is no cause."""
    if not _CAUSE_ID.fullmatch(cause_id):
        raise InputError(
            f"{cause_id[:80]!r} is no cause: expected drift-…, weekly-… or manual-… of letters, digits and hyphens"
        )
    return f"retrain-{cause_id}"


def drift_cause(alert: DriftAlert) -> Cause:
    """The cause that a confirmed alert is."""
    return Cause(
        cause_id=alert.cause_id,
        kind=CauseKind.DRIFT,
        sentence=alert.sentence,
        reference_digest=alert.reference_digest,
        model_version=alert.model_version,
        repeated=alert.repeated,
    )


def weekly_cause(now: datetime) -> Cause:
    """The cause of the calendar week (ISO 8601, UTC) that `now` lies in: `weekly-2026-W47`."""
    week = now.astimezone(UTC).isocalendar()
    name = f"{week.year}-W{week.week:02d}"
    return Cause(f"weekly-{name}", CauseKind.WEEKLY, f"the weekly run of {name}")


def manual_cause(text: str) -> Cause:
    """The cause that a person names: the same words are the same cause; raises InputError on none or too many."""
    words = " ".join(text.split())
    if not words or len(words) > _MOST_TEXT:
        raise InputError(
            f"a cause needs a reason of 1 to {_MOST_TEXT} characters, got {len(words)}: say why in a few words"
        )
    slug = "-".join(re.findall(r"[a-z0-9]+", words.lower()))[:_MOST_WORDS].strip("-")
    return Cause(f"manual-{slug}-{sha256_hex(words.encode())[:8]}".replace("--", "-"), CauseKind.MANUAL, words)
