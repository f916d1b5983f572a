"""The policy that holds now: read again when its file changes, kept when the new one is not understood."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from belisha.components.route import Policy, read_policy
from belisha.components.shared.errors import BelishaError

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0


class PolicyFile:
    """Call it for the policy of the moment."""

    def __init__(self, path: Path | None) -> None:
        """Read the file; None stands for the default policy. Raises InputError when it is not understood."""
        self._path, self._seen = path, _stamp(path)
        self._policy = read_policy(path) if path is not None else Policy()
        self._looked_at = time.monotonic()
        self.trouble = ""

    def __call__(self) -> Policy:
        """The policy, looked at once a second at most."""
        if self._path is not None and time.monotonic() - self._looked_at > _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._look(self._path)
        return self._policy

    def _look(self, path: Path) -> None:
        stamp = _stamp(path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._policy, self.trouble = read_policy(path), ""
        except BelishaError as error:
            self.trouble = f"{error}; until then the policy before goes on"
            _log.warning("%s", self.trouble)


def _stamp(path: Path | None) -> tuple[int, int] | None:
    try:
        return None if path is None else (path.stat().st_mtime_ns, path.stat().st_size)
    except OSError:
        return None
