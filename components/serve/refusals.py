"""Requests that are not answered: an HTTP status, a stable word for counting, and one sentence."""

from __future__ import annotations

from belisha.components.shared.errors import BelishaError
from belisha.components.shared.images import UnreadablePictureError


class RefusalError(BelishaError):
    """A request that gets no boxes; `str()` of it is what the caller reads."""

    def __init__(self, status: int, outcome: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.outcome = outcome


def bad_request(sentence: str) -> RefusalError:
    """What was sent is not understood."""
    return RefusalError(400, "bad_request", sentence)


def too_large(sentence: str) -> RefusalError:
    """What was sent is larger than allowed."""
    return RefusalError(413, "too_large", sentence)


def not_ready(reason: str) -> RefusalError:
    """The model is not, or will not be, served."""
    return RefusalError(503, "not_ready", reason)


def failed() -> RefusalError:
    """A fault of ours; the log has it."""
    return RefusalError(500, "error", "the model failed on this picture: the predictor's log says where")


def unreadable(error: UnreadablePictureError) -> RefusalError:
    """Bytes that are no picture we accept."""
    sentence = str(error)
    return too_large(sentence) if error.reason == "oversized" else RefusalError(400, "bad_picture", sentence)
