"""The figures agree with pycocotools and with the CityPersons evaluation code."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from belisha.components.shared.evaluation import SUBSETS, DetectionSet, EvaluationSet, evaluate
from belisha.components.shared.evaluation.coco_files import read_detections, read_truth
from tests.components.shared.evaluation.scenes import found, plain_log_average_miss_rate, random_scene, scenes, truth_of

SUBSET_NAMES = {"reasonable": "Reasonable", "small": "Reasonable_small", "heavy": "Reasonable_occ=heavy", "all": "All"}


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["detections_11.json", "detections_12.json"])
def test_agrees_with_the_citypersons_oracle(real_data: Path, name: str) -> None:
    folder = real_data / "citypersons"
    expected = json.loads((folder / "expected.json").read_text())[name]
    truth = read_truth(folder / "val_gt.json")
    summary = evaluate(truth.labels, read_detections(folder / name, truth).detections)
    assert (summary.images, summary.pedestrians, summary.ignored) == (500, 3157, 2638)
    assert summary.detections == expected["detections"]
    assert summary.ap50 == pytest.approx(expected["ap50"], abs=1e-6)
    assert summary.ap50_95 == pytest.approx(expected["ap50_95"], abs=1e-6)
    for subset, theirs in SUBSET_NAMES.items():
        assert summary.mr2[subset] == pytest.approx(expected["mr2_percent"][theirs] / 100, abs=1e-6)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["detections_11.json", "detections_12.json"])
def test_agrees_with_pycocotools_on_citypersons(real_data: Path, name: str) -> None:
    folder = real_data / "citypersons"
    truth = read_truth(folder / "val_gt.json")
    detections = read_detections(folder / name, truth).detections
    summary = evaluate(truth.labels, detections)
    assert (summary.ap50_95, summary.ap50, summary.average_recall) == pytest.approx(
        _pycocotools(truth.labels, detections), abs=1e-9
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(scenes)
def test_agrees_with_pycocotools_on_crowded_scenes(scene: tuple[EvaluationSet, DetectionSet]) -> None:
    truth, detections = scene
    assume(truth.pedestrians > 0)
    summary = evaluate(truth, detections)
    assert (summary.ap50_95, summary.ap50, summary.average_recall) == pytest.approx(
        _pycocotools(truth, detections), abs=1e-9
    )


def test_only_the_100_best_detections_of_a_picture_count() -> None:
    truth = truth_of([(0, (0, 0, 10, 20)), (1, (0, 0, 10, 20))], 2)
    strays = [(0, (100.0 + index, 0, 10, 20), 0.9) for index in range(100)]
    detections = found([*strays, (0, (0, 0, 10, 20), 0.5), (1, (0, 0, 10, 20), 0.95)])
    summary = evaluate(truth, detections)
    assert (summary.ap50_95, summary.ap50, summary.average_recall) == pytest.approx(_pycocotools(truth, detections))
    assert summary.average_recall == 0.5


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("subset", SUBSETS)
def test_miss_rate_agrees_with_the_rules_written_as_loops(seed: int, subset: str) -> None:
    truth, detections = random_scene(seed, images=110, boxes=500)
    expected = plain_log_average_miss_rate(truth, detections, SUBSETS[subset].height_px, SUBSETS[subset].visible_ratio)
    assert evaluate(truth, detections).mr2[subset] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("pairs_at_once", [1, 7, 100])
def test_the_size_of_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch, pairs_at_once: int) -> None:
    truth, detections = random_scene(3, images=5, boxes=40)
    expected = evaluate(truth, detections)
    monkeypatch.setattr("belisha.components.shared.evaluation.matching._PAIRS_AT_ONCE", pairs_at_once)
    assert evaluate(truth, detections) == expected


def test_the_order_of_rows_does_not_matter_where_scores_differ() -> None:
    truth, detections = random_scene(5, images=120, boxes=300, distinct_scores=True)
    shuffled = np.random.default_rng(0).permutation(len(detections))
    again = DetectionSet(detections.image[shuffled], detections.boxes_xywh_px[shuffled], detections.scores[shuffled])
    assert evaluate(truth, again) == evaluate(truth, detections)


def _pycocotools(truth: EvaluationSet, detections: DetectionSet) -> tuple[float, float, float]:
    """AP50-95, AP50 and AR at 100 detections."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        labels = COCO()
        labels.dataset = {
            "images": [{"id": index + 1} for index in range(truth.n_images)],
            "categories": [{"id": 1, "name": "pedestrian"}],
            "annotations": [
                {"id": number + 1, "image_id": int(image) + 1, "category_id": 1, "bbox": box.tolist(),
                 "area": float(box[2] * box[3]), "iscrowd": int(ignore)}
                for number, (image, box, ignore) in enumerate(
                    zip(truth.box_image, truth.boxes_xywh_px, truth.ignore, strict=True)
                )
            ],
        }  # fmt: skip
        labels.createIndex()
        rows = np.column_stack(
            [detections.image + 1, detections.boxes_xywh_px, detections.scores, np.ones(len(detections))]
        )
        if not len(rows):
            return 0.0, 0.0, 0.0
        evaluation = COCOeval(labels, labels.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1]), float(evaluation.stats[8])
