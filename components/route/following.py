"""What a running router follows: the policy file and the ledger, read again when they change, kept when they cannot be read."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from belisha.components.route.policy import Policy, read_policy
from belisha.components.route.routing import Target
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.ledger import LedgerState

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Child:
    """A model in the router's graph.

    Attributes:
        version: model version.
        size_bytes: of its ONNX file; a huge number where it is not known, so that no size bound admits it.
    """

    version: str
    size_bytes: int


def targets_of(children: Sequence[Child], state: LedgerState) -> list[Target]:
    """The children that serve under a ledger's state; the first child alone when the champion is none of them.

    A graph changes later than the ledger: a challenger that is no child yet gets no traffic, and a former champion that is
    still a child gets none any more.
    """
    by_version = {child.version: child for child in children}
    champion = by_version.get(state.champion or "")
    if champion is None:
        return [Target(children[0].version, "champion", 1.0, children[0].size_bytes)]
    challenger = by_version.get(state.challenger or "")
    if challenger is None or challenger == champion:
        return [Target(champion.version, "champion", 1.0, champion.size_bytes)]
    ratio = state.challenger_traffic_ratio
    return [
        Target(champion.version, "champion", 1.0 - ratio, champion.size_bytes),
        Target(challenger.version, "challenger", ratio, challenger.size_bytes),
    ]


class PolicyFile:
    """A policy that follows its file. A mounted ConfigMap changes by a link, so the file behind the link is looked at.

    Raises:
        InputError: the file cannot be used when it is read first.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = self._signature()
        self.policy = read_policy(path) if path else Policy()

    def look(self) -> bool:
        """Read the file again if it changed; False when it cannot be used, and the policy before still holds."""
        signature = self._signature()
        if self._path is None or signature == self._seen:
            return True
        try:
            self.policy = read_policy(self._path)
        except BelishaError as error:
            _log.warning("the policy before still holds: %s", error)
            return False
        self._seen = signature
        _log.info("the policy %s was read again", self._path)
        return True

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size) if found else None


class Follower:
    """A thread that calls something at an interval; what that raises ends nothing."""

    def __init__(self, look: Callable[[], None], seconds: float) -> None:
        self._look, self._seconds = look, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, and wait for the end."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self._look()
            except Exception:  # noqa: BLE001 - without this thread nothing would be followed any more
                _log.exception("following failed; it is tried again")
