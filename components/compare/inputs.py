"""Reading what a comparison stands on, each piece checked against the others before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from belisha.components.shared.detections import Detections, read_detections
from belisha.components.shared.errors import ContractError
from belisha.components.shared.evaluation import DetectionSet, EvaluationSet, detection_set, evaluation_set
from belisha.components.shared.evaluation_artifact import DETECTIONS_TEST_FILE, METRICS_FILE, read_metrics
from belisha.components.shared.files import sha256_of_file
from belisha.components.shared.ledger import Action
from belisha.components.shared.manifest import Picture, iter_pictures, read_table
from belisha.components.shared.model_artifact import ModelInfo
from belisha.components.shared.registry import ModelVersion, Registry
from belisha.components.shared.splits import open_test, pictures_of, read_split


@dataclass(frozen=True, slots=True)
class TestPart:
    """The unsealed test part.

    Attributes:
        pictures: in the order of `truth`.
        truth: their labels.
        looks: runs that have looked at it, this one included.
        warning: what people must be told of the looks; None at the first.
        split_digest: of the split it belongs to.
    """

    __test__ = False  # the name begins like a pytest class

    pictures: tuple[Picture, ...]
    truth: EvaluationSet
    looks: int
    warning: str | None
    split_digest: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """The candidate's recorded detections on the test part, by picture and flat, and the digest of its figures."""

    by_image: Mapping[str, Detections]
    detections: DetectionSet
    evaluation_digest: str


def read_test_part(dataset_dir: Path, split_dir: Path, registry: Registry, run_id: str) -> TestPart:
    """Open the sealed part for this run; raises ContractError, DigestError, StorageError."""
    split = read_split(split_dir)
    look = open_test(split, registry.ledger, reason="compare the candidate with the champion", run_id=run_id)
    table = read_table(dataset_dir)
    rows = table.filter(pc.is_in(table.column("image_id"), value_set=pa.array(look.image_ids, pa.string())))
    pictures = pictures_of(iter_pictures(rows), look.image_ids)
    return TestPart(tuple(pictures), evaluation_set(pictures, split.group_of), look.looks, look.warning, split.digest)


def read_candidate(evaluation_dir: Path, info: ModelInfo, test: TestPart) -> Candidate:
    """The candidate's detections; raises ContractError when they are of another model, split or test part."""
    metrics = read_metrics(evaluation_dir)
    expectations = (("model_digest", info.digest, "model"), ("split_digest", test.split_digest, "split"))
    for key, expected, what in expectations:
        if metrics.get(key) != expected:
            raise ContractError(
                f"{evaluation_dir / METRICS_FILE} is about {what} {metrics.get(key)}, expected {expected}: "
                "validate this model on this split again"
            )
    path = evaluation_dir / DETECTIONS_TEST_FILE
    by_image = read_detections(path)
    return Candidate(by_image, _fitting(path, test, by_image), sha256_of_file(evaluation_dir / METRICS_FILE))


def read_baselines(baseline_dir: Path | None, test: TestPart) -> dict[str, DetectionSet]:
    """Each baseline's detections by its name, empty without a folder; raises ContractError when they do not fit."""
    if baseline_dir is None:
        return {}
    if not baseline_dir.is_dir():
        raise ContractError(f"{baseline_dir} does not exist: give the folder that `belisha baseline` has written")
    paths = sorted(baseline_dir.glob(f"*/{DETECTIONS_TEST_FILE}"))
    return {path.parent.name: _fitting(path, test, read_detections(path)) for path in paths}


def champion_of(registry: Registry, model_digest: str, run_id: str) -> ModelVersion | None:
    """The champion that this candidate is up against.

    A step that is run again after its own release meets the champion of then, not itself: so it gives the same verdict.
    """
    records = registry.ledger.records()
    own = [
        record.number
        for record in records
        if record.draft.action is Action.REGISTER
        and record.draft.run_id == run_id
        and record.draft.details.get("model_digest") == model_digest
    ]
    before = records[: own[0] - 1] if own else records
    champion = before[-1].state.champion if before else None
    return registry.version(champion) if champion else None


def _fitting(path: Path, test: TestPart, by_image: Mapping[str, Detections]) -> DetectionSet:
    try:
        return detection_set(test.truth, by_image)
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from None
