"""What goes wrong between us and the KFP API, with what a caller must know before trying again."""

from __future__ import annotations

from belisha.components.shared.errors import EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, BelishaError

_PASSING = frozenset({408, 429, 500, 502, 503, 504})


class KfpError(BelishaError):
    """The KFP API could not be reached, refused, or answered something that is no answer.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        maybe_done: the request may have taken effect although no good answer came: look before doing it again.
    """

    def __init__(self, sentence: str, *, status: int = 0, maybe_done: bool = False) -> None:
        super().__init__(sentence)
        self.status = status
        self.maybe_done = maybe_done
        self.exit_code = _exit_code(status)

    @property
    def passing(self) -> bool:
        """Whether trying later may help."""
        return self.exit_code == EXIT_RETRY


def _exit_code(status: int) -> int:
    if status == 0 or status in _PASSING:
        return EXIT_RETRY
    return EXIT_USAGE if 400 <= status < 500 else EXIT_FAILED
