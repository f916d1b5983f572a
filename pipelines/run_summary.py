"""What a run came to, read from its steps' outputs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from belisha.components.shared.splits import SPLIT_FILE
from belisha.components.shared.verdict import DECISION_FILE, Verdict
from belisha.pipelines.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A finished run.

    Attributes:
        run_id: its name in the ledger.
        verdict: of the comparison.
        decision: the verdict's sentence with its numbers.
        released: what the release step did, a sentence.
        accuracy: the validation's sentence.
        headline: the validation's figures by stable names.
        notes: what the split and the comparison did that a reader must know, and what it costs.
        model_digest: of the candidate.
        model_dir: where its ONNX lies.
    """

    run_id: str
    verdict: Verdict
    decision: str
    released: str
    accuracy: str
    headline: dict[str, float]
    notes: tuple[str, ...]
    model_digest: str
    model_dir: Path

    @property
    def text(self) -> str:
        """What people want to read: the notes, then accuracy, decision and release, a sentence each."""
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([*notes, self.accuracy, self.decision, self.released])

    def to_json(self) -> dict[str, Any]:
        """JSON values for programs."""
        return {
            "run_id": self.run_id,
            "verdict": self.verdict,
            "accuracy": self.accuracy,
            "decision": self.decision,
            "released": self.released,
            "notes": list(self.notes),
            "metrics": self.headline,
            "model_digest": self.model_digest,
            "model": str(self.model_dir),
        }


def summarise(folder: RunFolder) -> RunSummary:
    """Read a finished run's outputs; raises ContractError when a step has left none."""
    split = json.loads((folder.output("split-dataset", "split") / SPLIT_FILE).read_bytes())
    decision = json.loads((folder.output("compare-with-champion", "decision") / DECISION_FILE).read_bytes())
    evaluation = json.loads((folder.output("validate-model", "evaluation") / "metrics.json").read_bytes())
    return RunSummary(
        run_id=folder.root.name,
        verdict=Verdict(decision["verdict"]),
        decision=decision["sentence"],
        released=folder.returned("release-model"),
        accuracy=evaluation["sentence"],
        headline=evaluation["headline"],
        notes=(*split["notes"], *decision["warnings"]),
        model_digest=decision["model_digest"],
        model_dir=folder.output("train-detector", "model"),
    )
