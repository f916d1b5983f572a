"""Labels and detections drawn at random, without any picture: two models of known quality on the same pedestrians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from belisha.components.compare.evidence import ChampionEvidence, Difference, Evidence, Latencies, SliceDifference
from belisha.components.compare.settings import GateSettings
from belisha.components.shared.evaluation import DetectionSet, EvaluationSet, paired_bootstrap

PICTURES_EACH = 4


@dataclass(frozen=True)
class Duel:
    """One simulated test part and what two models found on it."""

    truth: EvaluationSet
    candidate: DetectionSet
    champion: DetectionSet


def simulate(seed: int, *, groups: int = 40, candidate_bonus: float = 0.0, boxes_each: int = 4) -> Duel:
    """Pedestrians of varying difficulty, harder in some groups; `candidate_bonus` is the candidate's edge in logits."""
    random = np.random.default_rng(seed)
    images = groups * PICTURES_EACH
    box_image = np.repeat(np.arange(images), boxes_each)
    place = np.tile(np.arange(boxes_each) * 200.0, images)
    boxes = np.stack([place, np.full(len(place), 10.0), np.full(len(place), 40.0), np.full(len(place), 100.0)], axis=1)
    group_index = np.repeat(np.arange(groups), PICTURES_EACH)
    truth = EvaluationSet(
        image_ids=tuple(f"{index:04d}" for index in range(images)),
        group_index=group_index,
        image_height_px=np.full(images, 1024.0),
        box_image=box_image,
        boxes_xywh_px=boxes,
        ignore=np.zeros(len(boxes), np.bool_),
        visible_ratio=np.ones(len(boxes)),
    )
    ease = 1.0 + random.normal(0, 0.6, groups)[group_index][box_image] + random.normal(0, 1, len(boxes))
    return Duel(truth, _found(truth, ease + candidate_bonus, random), _found(truth, ease, random))


def _found(truth: EvaluationSet, logits: np.ndarray, random: np.random.Generator) -> DetectionSet:
    noise = random.normal(0, 0.8, len(logits))
    seen = random.random(len(logits)) < 1 / (1 + np.exp(-(logits + noise)))
    jitter = random.normal(0, 3, (int(seen.sum()), 4))
    false_images = random.integers(0, truth.n_images, truth.n_images // 2)
    false_boxes = np.stack([random.uniform(0, 800, len(false_images)), np.full(len(false_images), 400.0)], axis=1)
    false_boxes = np.concatenate([false_boxes, np.tile([40.0, 100.0], (len(false_images), 1))], axis=1)
    scores = np.concatenate([(logits + noise)[seen], random.normal(-0.5, 1, len(false_images))])
    return DetectionSet(
        image=np.concatenate([truth.box_image[seen], false_images]),
        boxes_xywh_px=np.concatenate([truth.boxes_xywh_px[seen] + jitter, false_boxes]),
        scores=scores,
    )


def evidence_of(duel: Duel, settings: GateSettings) -> Evidence:
    """The evidence that the real measurement would hand to the gates."""
    paired = paired_bootstrap(
        duel.truth, duel.candidate, duel.champion, resamples=settings.bootstrap_resamples, seed=settings.bootstrap_seed
    )
    found = {
        name: Difference(metric.candidate, metric.champion, metric.resampled_differences, paired.groups)
        for name, metric in paired.metrics.items()
    }
    return evidence(
        champion=ChampionEvidence(
            "v1", "champion", 1000, found["ap50_95"], found["ap50"], found["mr2_reasonable"],
            (SliceDifference("condition", "day", duel.truth.pedestrians, found["ap50"]),),
        ),
        images=duel.truth.n_images,
        groups=paired.groups,
    )  # fmt: skip


def difference(
    estimate: float, spread: float, *, rival: float = 0.5, resamples: int = 2000, groups: int = 1000
) -> Difference:
    """A normal bootstrap distribution around the estimate, the same each time."""
    quantiles = (np.arange(resamples) + 0.5) / resamples
    from scipy.stats import norm

    return Difference(rival + estimate, rival, estimate + spread * norm.ppf(quantiles), groups)


def evidence(**changes: object) -> Evidence:
    """Evidence of a candidate that beats everything and costs nothing, changed as told."""
    good: dict[str, object] = {
        "model_digest": "candidate",
        "model_bytes": 10_000_000,
        "metrics": {"ap50": 0.7, "ap50_95": 0.5},
        "images": 500,
        "pedestrians": 3000,
        "groups": 100,
        "looks": 1,
        "baselines": {"hog": difference(0.5, 0.02), "heatmap": difference(0.6, 0.02)},
        "champion": None,
        "latencies": Latencies(np.full(50, 0.05), np.full(50, 0.05)),
    }
    return Evidence(**{**good, **changes})  # type: ignore[arg-type]


def champion(**changes: object) -> ChampionEvidence:
    """A champion that is beaten by far, changed as told."""
    beaten: dict[str, object] = {
        "version": "v1",
        "model_digest": "champion",
        "model_bytes": 10_000_000,
        "ap50_95": difference(0.05, 0.01),
        "ap50": difference(0.05, 0.01),
        "mr2_reasonable": difference(-0.05, 0.01),
        "slices": (),
    }
    return ChampionEvidence(**{**beaten, **changes})  # type: ignore[arg-type]
