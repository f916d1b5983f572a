"""Feedback on an answer: only the model that gave it may be credited, so the request must say which one that was.

A mesh splits feedback by the same weights as requests, so that a champion's reward may reach the challenger; here it does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from belisha.components.route.gateway import answers
from belisha.components.route.gateway.answers import RefusedError

FEEDBACK_PATH = "/api/v1.0/feedback"


def version_of(headers: Mapping[str, str], body: bytes) -> str:
    """The model version that feedback is about.

    It stands in the header that the answer came with, or in the message: in `response` as the answer itself, as a
    `SeldonMessage` with the answer in `jsonData`, or among the tags of `response.meta`.

    Raises:
        RefusedError: 400, the body is no JSON object or names no model.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise _refused("the feedback is no valid JSON") from None
    response = _member(message, "response")
    named = (
        headers.get(answers.MODEL_VERSION, ""),
        _member(response, "model_version"),
        _member(_member(response, "jsonData"), "model_version"),
        _member(_member(_member(response, "meta"), "tags"), "model_version"),
    )
    found = next((name for name in named if isinstance(name, str) and name), None)
    if found is None:
        raise _refused("the feedback does not say which model's answer it is about")
    return found


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _refused(what: str) -> RefusedError:
    text = f'{what}: send {{"reward": 1, "response": …}} with the answer, or its header {answers.MODEL_VERSION}'
    return RefusedError(400, text, "client_error")
