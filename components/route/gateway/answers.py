"""What goes back to a client: a predictor's answer, or one sentence with a status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

JSON_TYPE = "application/json"
REQUEST_ID, CAMERA, CLIENT = "X-Request-ID", "X-Belisha-Camera", "X-Belisha-Client"
ROLE, MODEL_VERSION, MODEL = "X-Belisha-Role", "X-Belisha-Model-Version", "X-Belisha-Model"
SHADOW, DRAWN = "X-Belisha-Shadow", "X-Belisha-Drawn"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers of a response; content type apart."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """A request that gets a sentence instead of an answer."""

    def __init__(self, status: int, sentence: str, outcome: str, *, retry_after_seconds: int = 0) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.outcome = status, sentence, outcome
        self.retry_after_seconds = retry_after_seconds

    def answer(self, request_id: str) -> Answer:
        """The refusal as a response."""
        headers = {"Retry-After": str(self.retry_after_seconds)} if self.retry_after_seconds else {}
        return sentence(self.status, self.sentence, request_id, headers)


def sentence(status: int, text: str, request_id: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error as JSON with one sentence."""
    return Answer(status, json_bytes({"error": text, "request_id": request_id}), headers=headers or {})


def json_bytes(value: object) -> bytes:
    """JSON without NaN."""
    return json.dumps(value, allow_nan=False).encode()
