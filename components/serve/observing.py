"""Everything that is told of a request after its answer: the one place where metrics, log and sampling join."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Protocol

from belisha.components.serve.answer import Answer

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Somebody who is told of answers and refusals; called from several threads, after the answer has gone."""

    def answered(self, answer: Answer) -> None:
        """A picture got its boxes."""
        ...

    def refused(self, outcome: str, *, shadow: bool) -> None:
        """A request got none; `outcome` is the word of its `RefusalError`."""
        ...

    def close(self) -> None:
        """The process ends: write what is still held."""
        ...


class Observers:
    """Tells several observers; the fault of one is logged and harms neither the others nor the request."""

    def __init__(self, observers: tuple[Observer, ...] = ()) -> None:
        self._observers = observers

    def answered(self, answer: Answer) -> None:
        """A picture got its boxes."""
        for observer in self._observers:
            _guarded(observer.answered, answer)

    def refused(self, outcome: str, *, shadow: bool) -> None:
        """A request got none."""
        for observer in self._observers:
            _guarded(functools.partial(observer.refused, outcome, shadow=shadow))

    def close(self) -> None:
        """The process ends."""
        for observer in self._observers:
            _guarded(observer.close)


def _guarded(tell: Callable[..., None], *values: object) -> None:
    try:
        tell(*values)
    except Exception:
        logger.exception("an observer failed")
