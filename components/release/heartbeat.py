"""A file that is touched for as long as the controller goes round: its age is what a liveness probe looks at."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from belisha.components.shared.errors import InputError


def beating(path: Path, pause: Callable[[float], None] = time.sleep) -> Callable[[float], None]:
    """A pause that touches a file before it waits, for the controller pauses once a round and for a minute at most.

    Raises:
        InputError: the file cannot be written, when it is touched first, here.
    """

    def beat_and_pause(seconds: float) -> None:
        path.touch()
        pause(seconds)

    try:
        path.touch()
    except OSError as error:
        raise InputError(
            f"the heartbeat {path} cannot be written ({error.strerror}): give another --heartbeat"
        ) from None
    return beat_and_pause
