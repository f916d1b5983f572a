"""A confirmed drift alert: what the drift check writes to the ledger, for review and the retraining policy to read.

The ledger holds one record (`Action.DRIFT`) an alert. Its `details` are this module's JSON, its `evidence_digest` is that of
the alert's `drift.json`, which lies with its report at `report_uri`. The alert does nothing by itself: it is the cause that
others act upon, once, by its `cause_id`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import canonical_json, sha256_hex
from belisha.components.shared.ledger import Action, Draft, LedgerState, Record

ALERT_SCHEMA = "belisha.drift_alert/1"
# A stratum of the request log is one camera by day or by night; this stands for several cameras, or for the whole day.
ANY = "any"


@dataclass(frozen=True, slots=True)
class DriftedStratum:
    """Where pictures changed.

    Attributes:
        camera: of the request log; `any` for several cameras that were judged together.
        daylight: `day`, `night`, or `any` where the reference knows no difference.
        begin: time of the first picture of the flagged windows, UTC.
        end: time just after the last one, UTC.
        pictures: thinned pictures in the last window.
    """

    camera: str
    daylight: str
    begin: datetime
    end: datetime
    pictures: int

    @property
    def name(self) -> str:
        """As metrics and reports write it."""
        return f"{self.camera}/{self.daylight}"


@dataclass(frozen=True, slots=True)
class DriftedFeature:
    """What changed there.

    Attributes:
        stratum: its name.
        feature: a picture statistic, a prediction statistic, or `embedding`.
        score: how far it left its calibrated range.
        bound: largest score that clean windows reach.
        effect_ratio: distance of the two distributions, 0..1.
        reference_median: in the feature's own unit; 0 for the embedding.
        current_median: in the feature's own unit; 0 for the embedding.
    """

    stratum: str
    feature: str
    score: float
    bound: float
    effect_ratio: float
    reference_median: float
    current_median: float


@dataclass(frozen=True, slots=True)
class DriftAlert:
    """Confirmed drift.

    Attributes:
        deployment_name: that is watched.
        model_version: champion whose reference was left.
        reference_digest: of that reference.
        begin: of the windows that confirm it, UTC.
        end: of the last window, UTC.
        cooldown_until: no further alert against this reference is recorded before, UTC.
        flagged_windows: of the last `windows` of the worst stratum.
        windows: that were judged there.
        repeated: 1 for a new alert, 2 when the drift was still there after one cooldown, and so on.
        strata: where, worst first.
        features: what, worst first.
        sentence: for people.
        report_uri: folder of `drift.json` and `report.html`.
    """

    deployment_name: str
    model_version: str
    reference_digest: str
    begin: datetime
    end: datetime
    cooldown_until: datetime
    flagged_windows: int
    windows: int
    repeated: int
    strata: tuple[DriftedStratum, ...]
    features: tuple[DriftedFeature, ...]
    sentence: str
    report_uri: str = ""

    @property
    def cause_id(self) -> str:
        """Deterministic: two checks of the same windows name the same cause."""
        return cause_id_of(self.deployment_name, self.reference_digest, self.end)

    def to_details(self) -> dict[str, Any]:
        """JSON values for the ledger; `cause_id` is among them for programs in other languages."""
        value = asdict(self)
        times = {name: getattr(self, name).astimezone(UTC).isoformat() for name in _TIMES}
        strata = [{**asdict(one), "begin": one.begin.isoformat(), "end": one.end.isoformat()} for one in self.strata]
        features = [asdict(one) for one in self.features]
        return {
            "schema": ALERT_SCHEMA,
            "cause_id": self.cause_id,
            **value,
            **times,
            "strata": strata,
            "features": features,
        }

    def draft(self, state: LedgerState, evidence_digest: str) -> Draft:
        """The ledger's record of it, which leaves who serves as it is."""
        return Draft(
            Action.DRIFT, self.model_version, self.sentence, state, evidence_digest, self.cause_id, self.to_details()
        )


_TIMES = ("begin", "end", "cooldown_until")


def cause_id_of(deployment_name: str, reference_digest: str, end: datetime) -> str:
    """`drift-` and 16 hexadecimal digits of what makes an alert the same alert."""
    identity = canonical_json([deployment_name, reference_digest, end.astimezone(UTC).isoformat()])
    return f"drift-{sha256_hex(identity)[:16]}"


def alert_of(record: Record) -> DriftAlert:
    """The alert that a record of `Action.DRIFT` holds; raises ContractError."""
    try:
        value = dict(record.draft.details)
        if value.pop("schema") != ALERT_SCHEMA:
            raise ContractError(
                f"drift record {record.number} of the ledger is of a newer version: use a newer belisha"
            )
        value.pop("cause_id")
        times: dict[str, Any] = {name: datetime.fromisoformat(value.pop(name)) for name in _TIMES}
        strata = tuple(_stratum_of(one) for one in value.pop("strata"))
        features = tuple(DriftedFeature(**one) for one in value.pop("features"))
        return DriftAlert(strata=strata, features=features, **times, **value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ContractError(
            f"drift record {record.number} of the ledger is not understood ({error}): restore it from a backup"
        ) from None


def drift_alerts(records: Iterable[Record], deployment_name: str | None = None) -> Iterator[tuple[Record, DriftAlert]]:
    """The alerts of a ledger, oldest first, of one deployment where it is named; raises ContractError."""
    for record in records:
        if record.draft.action is Action.DRIFT:
            alert = alert_of(record)
            if deployment_name in (None, alert.deployment_name):
                yield record, alert


def _stratum_of(value: dict[str, Any]) -> DriftedStratum:
    times: dict[str, Any] = {name: datetime.fromisoformat(value[name]) for name in ("begin", "end")}
    return DriftedStratum(**{**value, **times})
