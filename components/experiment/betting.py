"""Anytime-valid evidence about a probability: e-values that may be looked at after every observation, and bounds made of them.

Bets on the next of a row of yes-or-no observations are made against the claim that its probability is p0. Capital starts at 1.
While the claim is true, whatever was seen before, no betting can make the chance larger than 1/e that the capital ever reaches
e (Ville 1939), so it may be looked at after each observation, and a test that rejects at 20 is wrong in at most 5 % of all
experiments however often somebody looks. Here the bets are those of the beta mixture (Robbins 1970; Howard, Ramdas, McAuliffe
and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 2021, section 3), with the
prior cut at p0 so that they are made in one direction alone: the capital grows only where the probability is above p0, and
the test holds for every probability up to p0, not for p0 alone. Inverted for all p0 this gives a confidence sequence, as in
Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024.

The observations need not be independent; it is enough that no past makes the next one likelier than p0 under the claim.
"""

from __future__ import annotations

import functools
import math

from scipy.optimize import brentq
from scipy.special import betaincc, betaln

# Jeffreys' prior: no probability is ruled out, and those near one half and those near one are found about equally well.
_PRIOR = 0.5
_NEARLY_NOTHING = 1e-12


@functools.lru_cache(maxsize=100_000)
def log_e_value(yes: int, no: int, claimed: float = 0.5) -> float:
    """Logarithm of the e-value against the claim that the probability of yes is at most `claimed`.

    Args:
        yes: observations that speak against the claim, >= 0.
        no: the others, >= 0.
        claimed: largest probability that the claim admits, in (0, 1).
    """
    return _log_e_value(yes, no, claimed)


def _log_e_value(yes: int, no: int, claimed: float) -> float:
    if yes + no == 0:
        return 0.0
    beyond = float(betaincc(yes + _PRIOR, no + _PRIOR, claimed))
    if beyond <= 0.0:
        return -math.inf
    mixture = float(betaln(yes + _PRIOR, no + _PRIOR) - betaln(_PRIOR, _PRIOR))
    cut = math.log(beyond) - math.log(float(betaincc(_PRIOR, _PRIOR, claimed)))
    return mixture + cut - yes * math.log(claimed) - no * math.log1p(-claimed)


def e_value(yes: int, no: int, claimed: float = 0.5) -> float:
    """The e-value itself; see `log_e_value`. Infinity where it is too large for a float."""
    logarithm = log_e_value(yes, no, claimed)
    return math.exp(logarithm) if logarithm < 700 else math.inf


@functools.lru_cache(maxsize=10_000)
def lower_bound(yes: int, no: int, alpha_ratio: float = 0.05) -> float:
    """Lower end of the confidence sequence: the smallest probability that the e-values do not refute at `alpha_ratio`.

    With a chance of at least 1 - alpha it stays below the true probability at all times. It exceeds p0 exactly when the e-value
    against "at most p0" reaches 1 / alpha.
    """
    if yes == 0:
        return 0.0
    needed, estimate = -math.log(alpha_ratio), yes / (yes + no)

    def beyond(claimed: float) -> float:
        return _log_e_value(yes, no, claimed) - needed

    # A claim of nearly nothing is refuted by a single yes, and the estimate itself never is.
    return float(brentq(beyond, _NEARLY_NOTHING, min(estimate, 1 - _NEARLY_NOTHING), xtol=1e-10))


def upper_bound(yes: int, no: int, alpha_ratio: float = 0.05) -> float:
    """Upper end of the confidence sequence; see `lower_bound`. The two ends hold together at 1 - 2 alpha."""
    return 1.0 - lower_bound(no, yes, alpha_ratio)


def yes_needed(yes: int, no: int, threshold: float, claimed: float = 0.5, at_most: int = 10_000) -> int | None:
    """Observations still needed to reach an e-value when they come in as they did; None where they never would.

    A point estimate, for people who plan reviews; it takes the share seen so far for the true one.
    """
    seen = yes + no
    if e_value(yes, no, claimed) >= threshold:
        return 0
    if seen == 0 or yes / seen <= claimed:
        return None
    ratio, low, high = yes / seen, seen, at_most
    if _at(ratio, high, claimed) < threshold:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _at(ratio, middle, claimed) >= threshold else (middle, high)
    return high - seen


def _at(ratio: float, observations: int, claimed: float) -> float:
    yes = round(ratio * observations)
    return e_value(yes, observations - yes, claimed)
