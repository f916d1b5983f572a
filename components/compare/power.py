"""What an inconclusive comparison would need: bounds shrink as one over the root of the number of pictures."""

from __future__ import annotations

import math

from belisha.components.compare.evidence import Difference

# Normal quantiles: a true difference of (z_0.95 + z_0.80) standard errors is found in 80 % of tests at 5 %.
_Z_ALPHA_05, _Z_POWER_80 = 1.6449, 0.8416


def detectable_difference(difference: Difference) -> float:
    """Smallest true difference that a test of this size would prove in 80 % of cases (one-sided, 5 %)."""
    return (_Z_ALPHA_05 + _Z_POWER_80) * difference.standard_error()


def more_pictures(images: int, distance: float, half_width: float) -> int | None:
    """Pictures beyond the present ones at which the bound would clear the limit if the estimate stays what it is.

    Args:
        images: of the present test part.
        distance: from the estimate to the limit, either way.
        half_width: from the estimate to its bound on the limit's side.

    Returns:
        None when the estimate lies on the limit, which no number of pictures settles.
    """
    if distance == 0:
        return None
    return max(1, math.ceil(images * (half_width / distance) ** 2) - images)
