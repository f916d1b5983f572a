"""The decision contract: `decision.json` with the verdict, every gate, and the digests of all it stands on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from belisha import __version__
from belisha.components.compare.settings import GateSettings
from belisha.components.shared.files import write_json
from belisha.components.shared.verdict import DECISION_FILE, DECISION_SCHEMA, Gate, Verdict


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided and why.

    Attributes:
        verdict: the worst of the blocking gates.
        sentence: the verdict in words.
        gates: every check, in the order in which a reader wants them.
        run_id: the run.
        model_digest: the candidate.
        champion: version and digest of the champion; None when there was none.
        metrics: the candidate's figures on the test part, finite.
        champion_metrics: the champion's, measured in this comparison.
        evaluation_digest: SHA-256 of the candidate's `metrics.json`, empty when it could not be read.
        split_digest: of the split, empty when it could not be read.
        images: pictures of the test part.
        groups: groups they form.
        looks: runs that have looked at it, this one included.
        detectable_ap50_95_gain: smallest true gain that this test would prove in 80 % of cases; None without champion.
        settings: bounds, resamples and seed.
        warnings: sentences that a reader must not miss.
    """

    verdict: Verdict
    sentence: str
    gates: tuple[Gate, ...]
    run_id: str
    model_digest: str
    settings: GateSettings
    champion: dict[str, str] | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    champion_metrics: dict[str, float] = field(default_factory=dict)
    evaluation_digest: str = ""
    split_digest: str = ""
    images: int = 0
    groups: int = 0
    looks: int = 0
    detectable_ap50_95_gain: float | None = None
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON values; every number finite or null."""
        value = asdict(self)
        gates = [_gate_to_json(gate) for gate in self.gates]
        return {"schema": DECISION_SCHEMA, "code_version": __version__, **value, "gates": gates}

    def headline(self) -> dict[str, float]:
        """The figures that compare runs, by stable names, all finite."""
        found = {f"candidate_{name}": number for name, number in self.metrics.items()}
        found |= {f"champion_{name}": number for name, number in self.champion_metrics.items()}
        found |= {f"gate_{gate.name}": gate.value for gate in self.gates if gate.value is not None}
        found |= {"verdict_severity": self.verdict.severity, "test_looks": self.looks}
        return {name: float(number) for name, number in found.items() if math.isfinite(number)}


def write_decision(folder: Path, decision: Decision) -> None:
    """Write `decision.json`."""
    write_json(folder / DECISION_FILE, decision.to_json())


def sentence_of(verdict: Verdict, gates: tuple[Gate, ...], champion: str | None) -> str:
    """The verdict in one sentence: what holds, or the gates that stood in the way, the worst first."""
    against = f"champion {champion}" if champion else "the baselines alone (there is no champion yet)"
    blocking = [gate for gate in gates if gate.blocking]
    if verdict is Verdict.PASS:
        return f"PASS against {against}: all {len(blocking)} gates hold"
    bad = sorted(
        (gate for gate in blocking if gate.verdict is not Verdict.PASS), key=lambda gate: -gate.verdict.severity
    )
    if not bad:
        return f"{verdict} against {against}: there is no gate to judge by"
    others = f"; {len(bad) - 1} more of {len(blocking)} gates do not hold" if len(bad) > 1 else ""
    return f"{verdict} against {against}: {bad[0].sentence}{others}"


def _gate_to_json(gate: Gate) -> dict[str, Any]:
    interval = None if gate.interval is None else [_finite(bound) for bound in gate.interval]
    numbers = {"value": _finite(gate.value), "bound": _finite(gate.bound), "interval": interval}
    return {"name": gate.name, "verdict": gate.verdict, "sentence": gate.sentence, **numbers, "blocking": gate.blocking}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
