"""Is the candidate better than the champion? Paired bootstrap by group, on the same resamples for both.

Pictures of one group (a sequence, a camera and time) resemble each other, so groups are drawn, not pictures; otherwise the
intervals come out too narrow. Bounds are expanded percentiles of the resampled differences: plain percentiles are too narrow
too when groups are few, by the root of (n - 1) / n and by the difference of normal and t (Hesterberg, "What Teachers Should
Know About the Bootstrap", The American Statistician 2015, section 4.3).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.shared.errors import NoDataError
from belisha.components.shared.evaluation.average_precision import (
    MAX_DETECTIONS,
    average_precision,
    coco_outcomes,
)
from belisha.components.shared.evaluation.matching import find_candidates
from belisha.components.shared.evaluation.miss_rate import (
    MIN_IMAGES,
    SUBSETS,
    HeightScale,
    curve_of,
    log_average,
    subset_outcomes,
)
from belisha.components.shared.evaluation.resampling import (
    CountArray,
    RankedOutcomes,
    RecallPoints,
    weighted_average_precision,
    weighted_miss_rate,
)
from belisha.components.shared.evaluation.sets import DetectionSet, EvaluationSet, FloatArray, IndexArray

AP50, AP50_95, MR2_REASONABLE = "ap50", "ap50_95", "mr2_reasonable"
METRICS = (AP50, AP50_95, MR2_REASONABLE)
# Resamples are drawn by blocks, each with its own generator, so that threads do not change what is drawn.
_BLOCK = 100
# Weights held at once by one thread.
_MAX_WEIGHTS = 8_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Two one-sided bounds of a difference, each missed by the truth with probability `alpha`."""

    low: float
    high: float
    alpha: float


@dataclass(frozen=True, slots=True)
class PairedMetric:
    """One metric of both models.

    Attributes:
        candidate: value on all pictures.
        champion: value on all pictures.
        difference: candidate - champion.
        resampled_differences: `(b,)` the same on each resample that holds a counted box.
    """

    candidate: float
    champion: float
    difference: float
    resampled_differences: FloatArray


@dataclass(frozen=True, slots=True)
class PairedBootstrap:
    """Outcome of `paired_bootstrap`.

    Attributes:
        metrics: name to values; a metric that means nothing here is absent and `notes` says why.
        images: pictures resampled from.
        groups: groups resampled from.
        resamples: how many were drawn.
        seed: of the draws.
        notes: sentences that a reader needs.
    """

    metrics: Mapping[str, PairedMetric]
    images: int
    groups: int
    resamples: int
    seed: int
    notes: tuple[str, ...]

    def interval(self, metric: str, alpha: float = 0.05) -> Interval:
        """One-sided expanded percentile bounds, both ways, of the difference candidate - champion; raises NoDataError."""
        return one_sided_bounds(self._metric(metric).resampled_differences, self.groups, alpha)

    def minimum_detectable_difference(self, metric: str, alpha: float = 0.05) -> float:
        """Half-width of the interval: about the least difference that as many pictures can tell from none."""
        bounds = self.interval(metric, alpha)
        return (bounds.high - bounds.low) / 2

    def pictures_needed(self, metric: str, threshold: float = 0.0, alpha: float = 0.05) -> int | None:
        """How many more pictures would settle on which side of `threshold` the difference lies, should it stay as it is.

        The half-width falls with one over the root of the number of pictures (of new groups of the same size).

        Returns:
            0 where it is settled; None where the difference equals the threshold, which no number settles.
        """
        distance = abs(self._metric(metric).difference - threshold)
        if distance == 0:
            return None
        ratio = self.minimum_detectable_difference(metric, alpha) / distance
        return max(0, math.ceil(self.images * ratio**2) - self.images)

    def _metric(self, metric: str) -> PairedMetric:
        if metric not in self.metrics:
            reasons = "; ".join(self.notes) or f"known are {', '.join(self.metrics)}"
            raise NoDataError(f"{metric} was not computed: {reasons}")
        return self.metrics[metric]


@dataclass(frozen=True, slots=True)
class _Model:
    """One model's cached outcomes and its values on all pictures."""

    precision: RankedOutcomes
    miss_rate: RankedOutcomes | None
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Groups:
    """What each group holds: `(groups,)` pictures, counted boxes, and counted boxes of the reasonable subset."""

    images: CountArray
    pedestrians: CountArray
    reasonable: CountArray


def paired_bootstrap(
    truth: EvaluationSet,
    candidate: DetectionSet,
    champion: DetectionSet,
    *,
    resamples: int = 2000,
    seed: int = 0,
    metrics: Sequence[str] = METRICS,
    height_scale: HeightScale = HeightScale.PICTURE,
) -> PairedBootstrap:
    """Resample groups of pictures with replacement and compare both models on each resample.

    Args:
        truth: the labels; `group_index` says what is drawn as one.
        candidate: its detections.
        champion: its detections on the same pictures.
        resamples: how many; 2000 fix a 5 % bound to about a tenth of the interval's half-width.
        seed: same seed, same data: same result, on any number of processors.
        metrics: those of `METRICS` that are wanted.
        height_scale: as in `evaluate`.

    Raises:
        NoDataError: fewer than two groups, or no box that counts.
    """
    groups = _groups_with_data(truth)
    notes: tuple[str, ...] = ()
    wanted = list(metrics)
    holds, models = _cache(truth, (candidate, champion), groups, height_scale)
    if MR2_REASONABLE in wanted and models[0].miss_rate is None:
        wanted.remove(MR2_REASONABLE)
        notes = (_why_no_miss_rate(truth),)
    drawn = _resample(models, holds, wanted, resamples, seed)
    paired: dict[str, PairedMetric] = {}
    for name in wanted:
        differences = drawn[name][~np.isnan(drawn[name])]
        if not len(differences):
            raise NoDataError(f"{name} was not computed: no resample of {groups} groups holds a box that counts")
        values = [model.values[name] for model in models]
        paired[name] = PairedMetric(values[0], values[1], values[0] - values[1], differences)
    return PairedBootstrap(paired, truth.n_images, groups, resamples, seed, notes)


def one_sided_bounds(differences: FloatArray, groups: int, alpha: float = 0.05) -> Interval:
    """Expanded percentile bounds of resampled differences `(b,)` that were drawn from `groups` >= 2 groups."""
    share = _expanded(alpha, groups)
    low, high = np.quantile(differences, [share, 1 - share])
    return Interval(float(low), float(high), alpha)


def _expanded(alpha: float, groups: int) -> float:
    """The percentile that bounds with error `alpha` when so few groups were drawn from: 0.048 for 0.05 and 100 groups."""
    from scipy import stats

    return float(stats.norm.cdf(math.sqrt(groups / (groups - 1)) * stats.t.ppf(alpha, groups - 1)))


def _groups_with_data(truth: EvaluationSet) -> int:
    groups = len(np.unique(truth.group_index))
    if groups < 2:
        raise NoDataError(
            f"the {truth.n_images} pictures form {groups} group: comparing needs at least two independent groups"
        )
    if not truth.pedestrians:
        raise NoDataError(f"no box counts in {truth.n_images} pictures: comparing needs at least one")
    return groups


def _why_no_miss_rate(truth: EvaluationSet) -> str:
    if truth.n_images < MIN_IMAGES:
        return f"MR⁻²: too few pictures ({truth.n_images} of {MIN_IMAGES})"
    return "MR⁻² reasonable: no box is in this subset"


def _cache(
    truth: EvaluationSet, detection_sets: Sequence[DetectionSet], groups: int, height_scale: HeightScale
) -> tuple[_Groups, list[_Model]]:
    group_of_image = np.unique(truth.group_index, return_inverse=True)[1]
    group_of_box = group_of_image[truth.box_image]
    models = []
    reasonable = np.zeros(len(truth.box_image), np.bool_)
    for detections in detection_sets:
        candidates = find_candidates(truth, detections)
        group = group_of_image[detections.image[candidates.order]][candidates.by_score]
        outcomes = coco_outcomes(candidates, truth.ignore)
        within = candidates.rank[candidates.by_score] < MAX_DETECTIONS
        found = subset_outcomes(truth, detections, candidates, SUBSETS["reasonable"], height_scale)
        reasonable = found.counted
        models.append(_model(truth, outcomes, group[within], found.outcomes, group, int(reasonable.sum())))
    return (
        _Groups(
            images=_tally(group_of_image, groups),
            pedestrians=_tally(group_of_box[~truth.ignore], groups),
            reasonable=_tally(group_of_box[reasonable], groups),
        ),
        models,
    )


def _tally(group: IndexArray, groups: int) -> CountArray:
    return np.bincount(group, minlength=groups).astype(np.int32)


def _model(
    truth: EvaluationSet,
    outcomes: npt.NDArray[np.int8],
    group_within: IndexArray,
    subset: npt.NDArray[np.int8],
    group: IndexArray,
    reasonable: int,
) -> _Model:
    precisions = average_precision(outcomes, truth.pedestrians)
    values = {AP50: float(precisions[0]), AP50_95: float(precisions.mean())}
    miss_rate = None
    if truth.n_images >= MIN_IMAGES and reasonable:
        miss_rate = RankedOutcomes(group, subset[None, :])
        values[MR2_REASONABLE] = log_average(curve_of(subset, truth.n_images, reasonable))
    return _Model(RankedOutcomes(group_within, outcomes), miss_rate, values)


def _resample(
    models: Sequence[_Model], holds: _Groups, wanted: Sequence[str], resamples: int, seed: int
) -> dict[str, FloatArray]:
    def block(number: int) -> dict[str, FloatArray]:
        size = min(_BLOCK, resamples - number * _BLOCK)
        counts = _draw(len(holds.images), size, seed, number)
        widest = max(len(model.precision.group) for model in models) + len(holds.images) + int(holds.pedestrians.sum())
        step = max(1, min(size, _MAX_WEIGHTS // widest))
        parts = [_differences(models, holds, wanted, counts[at : at + step]) for at in range(0, size, step)]
        return {name: np.concatenate([part[name] for part in parts]) for name in wanted}

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        blocks = list(pool.map(block, range(math.ceil(resamples / _BLOCK))))
    return {name: np.concatenate([part[name] for part in blocks]) for name in wanted}


def _draw(groups: int, size: int, seed: int, block: int) -> CountArray:
    """How often each group is drawn, `(size, groups)`, each row summing to the number of groups."""
    drawn = np.random.default_rng([seed, block]).integers(0, groups, (size, groups))
    drawn += np.arange(size)[:, None] * groups
    return np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups).astype(np.int32)


def _differences(
    models: Sequence[_Model], holds: _Groups, wanted: Sequence[str], counts: CountArray
) -> dict[str, FloatArray]:
    """Candidate minus champion on each resample; NaN where a resample holds no box that counts."""
    differences = {name: np.full(len(counts), np.nan) for name in wanted}
    pedestrians = _weighed(counts, holds.pedestrians)
    usable = pedestrians > 0
    if {AP50, AP50_95} & set(wanted) and usable.any():
        points = RecallPoints(pedestrians[usable])
        only_ap50 = AP50_95 not in wanted
        first, second = (
            weighted_average_precision(
                _first_row(model.precision) if only_ap50 else model.precision, counts[usable], points
            )
            for model in models
        )
        for name, gained in ((AP50, (first - second)[:, 0]), (AP50_95, (first - second).mean(axis=1))):
            if name in differences:
                differences[name][usable] = gained
    if MR2_REASONABLE in wanted:
        reasonable = _weighed(counts, holds.reasonable)
        usable = reasonable > 0
        images = _weighed(counts, holds.images)
        first, second = (
            weighted_miss_rate(model.miss_rate, counts[usable], images[usable], reasonable[usable])
            for model in models
            if model.miss_rate is not None
        )
        differences[MR2_REASONABLE][usable] = first - second
    return differences


def _first_row(ranked: RankedOutcomes) -> RankedOutcomes:
    return RankedOutcomes(ranked.group, ranked.outcomes[:1])


def _weighed(counts: CountArray, held: CountArray) -> IndexArray:
    return np.asarray(counts @ held.astype(np.intp), dtype=np.intp)
