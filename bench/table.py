"""A row of the benchmark's table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One measured figure.

    Attributes:
        name: what was measured.
        value: the figure, mostly a ratio.
        bound: what it is held against.
        at_least: whether `value` should be at least `bound` (else at most).
        detail: the absolute numbers behind it.
    """

    name: str
    value: float
    bound: float
    at_least: bool
    detail: str

    @property
    def held(self) -> bool:
        """Whether the bound holds."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound
