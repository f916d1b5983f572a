"""A candidate's model, evaluation and decision folders as the steps before release write them, on a tiny real model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from belisha.components.release.release import ReleaseOutcome, release
from belisha.components.shared.evaluation_artifact import EVALUATION_SCHEMA
from belisha.components.shared.files import write_json
from belisha.components.shared.model_artifact import read_model_info
from belisha.components.shared.registry import Candidate, ModelVersion, Registry
from belisha.components.shared.verdict import DECISION_SCHEMA


@dataclass(frozen=True)
class Folders:
    model: Path
    evaluation: Path
    decision: Path
    model_digest: str


def write_folders(root: Path, *, verdict: str = "PASS", champion: str | None = None, gain: float = 1.0) -> Folders:
    """Folders below `root`; another `gain` is another model, `champion` the version it was compared with."""
    # Imported here, for the processes that only register what lies there need no onnx.
    from tests.onnx_models import write_tiny_model

    info = write_tiny_model(root / "model", gain=gain)
    write_json(root / "evaluation/metrics.json", {"schema": EVALUATION_SCHEMA, "model_digest": info.digest})
    (root / "evaluation/report.html").write_text("<p>größer</p>")
    decision = {
        "schema": DECISION_SCHEMA,
        "verdict": verdict,
        "sentence": f"the gates say {verdict}",
        "model_digest": info.digest,
        "champion": {"version": champion} if champion else None,
        "metrics": {"ap50": 0.75, "ap50_95": 0.5},
    }
    write_json(root / "decision/decision.json", decision)
    return Folders(root / "model", root / "evaluation", root / "decision", info.digest)


def release_one(
    root: Path,
    storage_uri: str,
    *,
    verdict: str = "PASS",
    champion: str | None = None,
    gain: float = 1.0,
    run_id: str = "",
) -> ReleaseOutcome:
    """Write folders and release them; the run is named by the gain unless told."""
    folders = write_folders(root / f"gain-{gain}", verdict=verdict, champion=champion, gain=gain)
    return release(folders.model, folders.evaluation, folders.decision, storage_uri, run_id or f"run-{gain}")


def add_to(registry: Registry, folders: Folders, run_id: str) -> ModelVersion:
    """Register the folders without a word in the ledger."""
    parts = {"model": folders.model, "evaluation": folders.evaluation, "decision": folders.decision}
    candidate = Candidate(
        folders.model_digest, run_id, "PASS", "it passed", "", "d" * 64, "1" * 64, "2" * 64, {"ap50": 0.5}
    )
    return registry.add(candidate, parts)


def written_folders(root: Path) -> Folders:
    """What `write_folders` wrote there."""
    return Folders(root / "model", root / "evaluation", root / "decision", read_model_info(root / "model").digest)
