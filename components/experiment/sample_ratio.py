"""Whether the dice fell as they were asked to: a sample-ratio check that may be repeated after every request.

Each assignment is a draw of the challenger with the share that the ledger asked for. Where the counts do not fit that share,
requests of one model got lost or were sent elsewhere, the two groups are no longer alike, and nothing that compares them
holds. The textbook's chi-square test is right for one look alone; a judge looks every few minutes. So the alarm is that of
Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022): the evidence that a Dirichlet mixture
around the asked share gives against it, whose inverse is a p-value at all times. The chi-square p-value is told beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import betaln
from scipy.stats import chi2

from belisha.components.shared.verdict import Gate, Verdict

GATE = "sample_ratio"
# Found by trial (see docs/experiment.md): it finds losses of 5 to 20 % of one model's requests soonest.
_CONCENTRATION = 1000.0


@dataclass(frozen=True, slots=True)
class Assignments:
    """What the dice did since the share last changed.

    Attributes:
        share_ratio: asked for the challenger, 0..1.
        champion: units that were assigned to the champion.
        challenger: units that were assigned to the challenger.
        mixed: units that went to and fro although each keeps its model.
        unit: what is counted: camera, client or request.
    """

    share_ratio: float
    champion: int
    challenger: int
    mixed: int = 0
    unit: str = "request"

    @property
    def units(self) -> int:
        """All that were assigned."""
        return self.champion + self.challenger


def log_e_value(found: Assignments) -> float:
    """Logarithm of the evidence against the asked share; 0 where there is nothing, or nothing to draw."""
    ratio = found.share_ratio
    if not found.units or not 0 < ratio < 1:
        return 0.0
    a, b = _CONCENTRATION * ratio, _CONCENTRATION * (1 - ratio)
    mixture = float(betaln(found.challenger + a, found.champion + b) - betaln(a, b))
    return mixture - found.challenger * math.log(ratio) - found.champion * math.log1p(-ratio)


def anytime_p_value(found: Assignments) -> float:
    """A p-value that holds however often somebody looks, 0..1."""
    return min(1.0, math.exp(-log_e_value(found)))


def chi_square_p_value(found: Assignments) -> float:
    """The textbook's p-value, right for a single look; 1 where there is nothing to test."""
    ratio, units = found.share_ratio, found.units
    if not units or not 0 < ratio < 1:
        return 1.0
    expected = units * ratio
    return float(chi2.sf((found.challenger - expected) ** 2 / (expected * (1 - ratio)), 1))


def sample_ratio_gate(found: Assignments, alpha_ratio: float) -> Gate:
    """FAIL where the assignment is broken, INCONCLUSIVE where nothing was assigned to both models yet, else PASS."""
    if found.mixed:
        return _mixed_gate(found)
    if not found.units or not 0 < found.share_ratio < 1:
        sentence = f"no {found.unit} was assigned by the experiment's dice since the share last changed: no data"
        return Gate(GATE, Verdict.INCONCLUSIVE, sentence, bound=alpha_ratio)
    p_value = anytime_p_value(found)
    numbers = (
        f"{found.challenger:,} of {found.units:,} {_plural(found.unit)} went to the challenger "
        f"({found.challenger / found.units:.4f}, asked {found.share_ratio:g}; p {p_value:.2g} at all times, "
        f"{chi_square_p_value(found):.2g} by chi-square)"
    )
    if p_value < alpha_ratio:
        sentence = f"sample-ratio mismatch, so the models' groups are not alike: {numbers}"
        return Gate(GATE, Verdict.FAIL, sentence, p_value, alpha_ratio)
    if not found.challenger:
        sentence = f"no {found.unit} fell to the challenger yet: {numbers}"
        return Gate(GATE, Verdict.INCONCLUSIVE, sentence, p_value, alpha_ratio)
    return Gate(GATE, Verdict.PASS, f"the assignment fits: {numbers}", p_value, alpha_ratio)


def _mixed_gate(found: Assignments) -> Gate:
    """Units that keep their model by a hash do not go to and fro while the share stands: something else routes them."""
    sentence = (
        f"{found.mixed:,} of {found.units:,} {_plural(found.unit)} went to and fro between the models although each keeps its "
        f"own while the share stands: give the --unit by which the routing policy is sticky, or find who else routes"
    )
    return Gate(GATE, Verdict.INCONCLUSIVE, sentence, float(found.mixed), 0.0)


def _plural(unit: str) -> str:
    return f"{unit}s"
