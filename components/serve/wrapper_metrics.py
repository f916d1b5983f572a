"""The wrapper's own metrics left empty: ours are in `metrics.py`, exact under threads and several workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from seldon_core.metrics import SeldonMetrics


class NoWrapperMetrics(SeldonMetrics):  # type: ignore[misc]
    """In the place of counters that live in a process of their own.

    That process costs each request six messages to it and back, a millisecond, even where there is nothing to count; and
    every request fails once it has died.
    """

    def __init__(self, worker_id_func: Any = None, extra_default_labels: Any = None) -> None:
        """Start no process; takes what the wrapper gives."""

    def __del__(self) -> None:
        """There is nothing to shut down."""

    def update(self, custom_metrics: Sequence[Any], method: str) -> None:
        """Called for each request."""

    def update_reward(self, reward: float) -> None:
        """Called for feedback, which the predictor counts."""

    def clear(self) -> None:
        """Called when a worker ends."""

    def collect(self) -> Iterator[Any]:
        """Nothing, for the wrapper's page."""
        return iter(())
