"""The numbers that the gates judge: measured once, judged by pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from belisha.components.shared.evaluation import one_sided_bounds

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of candidate and rival on the same pictures.

    Attributes:
        candidate: its value, a ratio.
        rival: the champion's or baseline's.
        resampled: `(b,)` differences candidate - rival of the paired bootstrap.
        groups: independent groups that were resampled, >= 2.
    """

    candidate: float
    rival: float
    resampled: FloatArray
    groups: int

    @property
    def estimate(self) -> float:
        """Candidate minus rival."""
        return self.candidate - self.rival

    def bounds(self, alpha: float) -> tuple[float, float]:
        """One-sided lower and upper bound, each wrong with probability alpha; wider when few groups were drawn from."""
        interval = one_sided_bounds(self.resampled, self.groups, alpha)
        return interval.low, interval.high

    def standard_error(self) -> float:
        """Standard deviation of the resampled differences."""
        return float(self.resampled.std(ddof=1)) if len(self.resampled) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class SliceDifference:
    """AP50 of both models on one slice.

    Attributes:
        kind: `condition`, `height` or `occlusion`.
        name: of the slice.
        pedestrians: boxes that count in it.
        ap50: None where there are too few boxes to compute it.
    """

    kind: str
    name: str
    pedestrians: int
    ap50: Difference | None


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds of single calls, taken in turn on the same pictures.

    Attributes:
        candidate: `(n,)`.
        champion: `(n,)`, empty when there is none.
        picture: `(n,)` number of the picture of each call; None when each call had its own.
    """

    candidate: FloatArray
    champion: FloatArray
    picture: npt.NDArray[np.intp] | None = None


@dataclass(frozen=True, slots=True)
class ChampionEvidence:
    """What is known beside the champion.

    Attributes:
        version: its name in the registry.
        model_digest: its identity.
        model_bytes: size of its ONNX file.
        ap50_95: difference on the whole test part.
        ap50: the same for AP50.
        mr2_reasonable: the same for MR⁻²; None with too few pictures.
        slices: differences of AP50 by slice.
    """

    version: str
    model_digest: str
    model_bytes: int
    ap50_95: Difference
    ap50: Difference
    mr2_reasonable: Difference | None
    slices: tuple[SliceDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the gates judge.

    Attributes:
        model_digest: identity of the candidate.
        model_bytes: size of its ONNX file.
        metrics: the candidate's figures on the test part, by name, finite.
        images: pictures of the test part.
        pedestrians: on them, ignored ones not counted.
        groups: groups they form.
        looks: runs that have looked at this test part, this one included.
        baselines: difference of AP50 to each baseline, by name.
        champion: None when there is none yet.
        latencies: None when they were not measured.
    """

    model_digest: str
    model_bytes: int
    metrics: Mapping[str, float]
    images: int
    pedestrians: int
    groups: int
    looks: int
    baselines: Mapping[str, Difference] = field(default_factory=dict)
    champion: ChampionEvidence | None = None
    latencies: Latencies | None = None
