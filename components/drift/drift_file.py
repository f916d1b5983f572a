"""`drift.json`: a check's findings as a versioned file that carries its own digest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from belisha.components.drift.check import DriftCheck
from belisha.components.drift.findings import StratumFinding, WindowFinding
from belisha.components.shared.errors import DigestError
from belisha.components.shared.files import canonical_json, read_json, sha256_hex

DRIFT_SCHEMA = "belisha.drift/1"
DRIFT_FILE, REPORT_FILE = "drift.json", "report.html"


def drift_to_json(check: DriftCheck) -> dict[str, Any]:
    """The findings as JSON values; `digest` is the SHA-256 of all others as canonical JSON."""
    value: dict[str, Any] = {
        "schema": DRIFT_SCHEMA,
        "deployment_name": check.deployment_name,
        "model_version": check.model_version,
        "verdict": check.verdict.value,
        "sentence": check.sentence,
        "until": check.until.isoformat(),
        "settings": asdict(check.settings),
        "reference": {
            "digest": check.reference_digest,
            "source": check.reference_source,
            "pictures": check.reference_pictures,
            "begin": check.reference_begin.isoformat(),
            "end": check.reference_end.isoformat(),
        },
        "strata": [_stratum_to_json(finding) for finding in check.strata],
    }
    return {**value, "digest": sha256_hex(canonical_json(value))}


def read_drift(path: Path) -> dict[str, Any]:
    """Read `drift.json` and check its digest; raises ContractError, DigestError."""
    value = read_json(path, schema=DRIFT_SCHEMA)
    digest = value.pop("digest", None)
    if digest != sha256_hex(canonical_json(value)):
        raise DigestError(f"{path} is not what the drift check wrote: run the check again")
    return {**value, "digest": digest}


def _stratum_to_json(finding: StratumFinding) -> dict[str, Any]:
    return {
        "stratum": finding.stratum.name,
        "camera": finding.stratum.camera,
        "daylight": finding.stratum.daylight,
        "verdict": finding.verdict.value,
        "sentence": finding.sentence,
        "reference_pictures": finding.reference_pictures,
        "windows": [_window_to_json(window) for window in finding.windows],
    }


def _window_to_json(window: WindowFinding) -> dict[str, Any]:
    return {
        "begin": window.begin.isoformat(),
        "end": window.end.isoformat(),
        "pictures": window.pictures,
        "judged": window.judged,
        "flagged": window.flagged,
        "bound": window.bound,
        "features": [asdict(feature) for feature in window.features],
    }
