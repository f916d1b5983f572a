"""What a model costs to serve: latency against a budget and against the champion, and size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from belisha.components.compare.evidence import Evidence, FloatArray, Latencies
from belisha.components.compare.settings import GateSettings
from belisha.components.shared.verdict import Gate, Verdict

_PERCENTILE = 95
_RESAMPLES = 500
_MEGABYTE = 1_000_000


def cost_gates(evidence: Evidence, settings: GateSettings) -> tuple[Gate, ...]:
    """Latency and size gates; those that are turned off are left out."""
    return tuple(_gates(evidence, settings))


def p95_seconds(seconds: FloatArray) -> float:
    """95th percentile of `(n,)` seconds."""
    return float(np.percentile(seconds, _PERCENTILE))


def _gates(evidence: Evidence, settings: GateSettings) -> Iterator[Gate]:
    latencies = evidence.latencies
    wanted = settings.max_latency_p95_seconds > 0 or settings.max_latency_ratio > 0
    if wanted and (latencies is None or not len(latencies.candidate)):
        yield Gate(
            "latency_p95", Verdict.INCONCLUSIVE, "latency was not measured: there is no test picture to measure on"
        )
    elif latencies is not None:
        if settings.max_latency_p95_seconds > 0:
            yield _budget(latencies, settings)
        if settings.max_latency_ratio > 0 and len(latencies.champion):
            yield _ratio(latencies, settings)
    if settings.max_model_megabytes > 0:
        yield _size(evidence, settings)


def _budget(latencies: Latencies, settings: GateSettings) -> Gate:
    limit = settings.max_latency_p95_seconds
    value, resampled = p95_seconds(latencies.candidate), _resampled_p95(latencies.candidate, settings)
    interval = _bounds(resampled, settings)
    words = f"95 % of pictures take at most {value:.4f} s on one thread here, {limit:g} s are allowed"
    return Gate("latency_p95", _verdict(interval, limit), words, value, limit, interval)


def _ratio(latencies: Latencies, settings: GateSettings) -> Gate:
    limit = settings.max_latency_ratio
    quick, rival = (_best_of_each_picture(latencies, side) for side in (latencies.candidate, latencies.champion))
    candidate, champion = p95_seconds(quick), p95_seconds(rival)
    ratios = _resampled_p95(quick, settings) / _resampled_p95(rival, settings)
    interval, value = _bounds(ratios, settings), candidate / champion
    words = (
        f"p95 latency (best call a picture) {candidate:.4f} s against {champion:.4f} s of the champion: ratio {value:.3f} "
        f"(bounds {interval[0]:.3f} to {interval[1]:.3f}), {limit:g} is allowed"
    )
    # The limit leaves room for noise already, so the estimate decides; only a clear excess is a failure.
    verdict = Verdict.PASS if value <= limit else _verdict(interval, limit)
    return Gate("latency_ratio", verdict, words, value, limit, interval)


def _best_of_each_picture(latencies: Latencies, seconds: FloatArray) -> FloatArray:
    """What another process on this machine takes is no property of a model: the best of a picture's calls has least of it."""
    if latencies.picture is None:
        return seconds
    best = np.full(int(latencies.picture.max()) + 1, np.inf)
    np.minimum.at(best, latencies.picture, seconds)
    return np.asarray(best[np.isfinite(best)])


def _verdict(interval: tuple[float, float], limit: float) -> Verdict:
    if interval[1] <= limit:
        return Verdict.PASS
    return Verdict.FAIL if interval[0] > limit else Verdict.INCONCLUSIVE


def _size(evidence: Evidence, settings: GateSettings) -> Gate:
    value, limit = evidence.model_bytes / _MEGABYTE, settings.max_model_megabytes
    verdict = Verdict.PASS if value <= limit else Verdict.FAIL
    return Gate("model_size", verdict, f"the ONNX file has {value:.2f} MB, {limit:g} are allowed", value, limit)


def _resampled_p95(seconds: FloatArray, settings: GateSettings) -> FloatArray:
    """The same seed draws the same calls for both models, whose calls are paired."""
    random = np.random.default_rng(settings.bootstrap_seed)
    drawn = random.integers(0, len(seconds), (_RESAMPLES, len(seconds)))
    return np.asarray(np.percentile(seconds[drawn], _PERCENTILE, axis=1))


def _bounds(resampled: FloatArray, settings: GateSettings) -> tuple[float, float]:
    low, high = np.quantile(resampled, [settings.alpha_ratio, 1 - settings.alpha_ratio])
    return float(low), float(high)
