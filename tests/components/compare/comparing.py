"""A world of bright rectangles, a champion in its registry and a candidate's folders, all real files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from belisha.components.compare.compare import compare
from belisha.components.compare.decision import Decision
from belisha.components.compare.settings import GateSettings
from belisha.components.release.release import release
from belisha.components.shared.detections import Detections, no_detections, write_detections
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.evaluation_artifact import DETECTIONS_TEST_FILE, EVALUATION_SCHEMA, METRICS_FILE
from belisha.components.shared.files import write_json
from belisha.components.shared.inference import detect_all
from belisha.components.shared.model_artifact import Thresholds
from belisha.components.shared.progress import silent
from belisha.components.shared.verdict import DECISION_FILE, DECISION_SCHEMA
from tests.bright_world import Bright, Scene, World, build_world, cells
from tests.onnx_models import write_tiny_model

# Latency of tiny models on a busy machine is noise; the gates on it have tests of their own.
RELAXED = GateSettings(max_latency_ratio=0, max_latency_p95_seconds=0, bootstrap_resamples=200)


@dataclass(frozen=True)
class Run:
    """One candidate's folders in a world."""

    world: World
    root: Path
    model_digest: str

    def folder(self, name: str) -> Path:
        return self.root / name

    def compare(self, gates: GateSettings = RELAXED, *, run_id: str = "", baseline: bool = True) -> Decision:
        return compare(
            self.world.dataset_dir,
            self.world.split_dir,
            self.folder("model"),
            self.folder("evaluation"),
            self.folder("baseline") if baseline else None,
            self.folder("decision"),
            self.world.storage_uri,
            run_id or self.root.name,
            gates,
            silent,
        )

    def make_champion(self) -> None:
        """Release it with a decision that it passed, in an empty registry."""
        decision = {"schema": DECISION_SCHEMA, "verdict": "PASS", "sentence": "ok", "model_digest": self.model_digest}
        write_json(self.folder("decision") / DECISION_FILE, decision)
        assert "became champion" in self.release()

    def release(self) -> str:
        folders = (self.folder(name) for name in ("model", "evaluation", "decision"))
        return release(*folders, self.world.storage_uri, self.root.name).sentence


def street_scenes(images: int, groups: int) -> list[Scene]:
    """Test pictures with bright and dim pedestrians and dim look-alikes, and a training picture."""
    random, scenes = np.random.default_rng(3), [Scene("train", cells(1))]
    for index in range(images):
        brights = [
            Bright(row, column, int(random.integers(60, 255)), labelled=bool(random.random() < 0.8))
            for row in range(3)
            for column in range(0, 6, 2)
        ]
        condition = "day" if index % 2 else "night"
        scenes.append(Scene("test", brights, group=f"camera-{index % groups}", condition=condition))
    return scenes


def make_world(root: Path, *, images: int = 36, groups: int = 12) -> World:
    return build_world(root / "world", street_scenes(images, groups))


def make_run(world: World, name: str, *, gain: float = 1.0, blind_below: float = 0.0, threshold: float = 0.25) -> Run:
    """Folders of a candidate; `blind_below` raises its own score floor, which makes it a worse detector."""
    root = world.root / name
    info = write_tiny_model(
        root / "model",
        gain=gain,
        name=name,
        split_digest=world.split_digest,
        dataset_digest=world.dataset_digest,
        thresholds=Thresholds(score=threshold),
    )
    pictures = [picture for picture in world.pictures if world.part_of[picture.image_id] == "test"]
    found = detect_all(OnnxDetector(root / "model"), pictures, silent)
    found = {image_id: boxes.above(blind_below) for image_id, boxes in found.items()}
    write_evaluation(root / "evaluation", found, info.digest, world.split_digest)
    write_baselines(root / "baseline", [picture.image_id for picture in pictures])
    return Run(world, root, info.digest)


def write_evaluation(folder: Path, found: dict[str, Detections], model_digest: str, split_digest: str) -> None:
    write_detections(folder / DETECTIONS_TEST_FILE, found)
    metrics = {"schema": EVALUATION_SCHEMA, "model_digest": model_digest, "split_digest": split_digest}
    write_json(folder / METRICS_FILE, metrics)


def write_baselines(folder: Path, image_ids: Sequence[str]) -> None:
    """One baseline that finds nothing and one that puts the same wrong box everywhere."""
    nothing = {image_id: no_detections() for image_id in image_ids}
    constant = Detections(np.array([[3, 3, 90, 90]], np.float32), np.array([-1.5], np.float32))
    write_detections(folder / "hog" / DETECTIONS_TEST_FILE, nothing)
    write_detections(folder / "heatmap" / DETECTIONS_TEST_FILE, dict.fromkeys(image_ids, constant))
