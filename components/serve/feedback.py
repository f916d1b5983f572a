"""What somebody thinks of an answer: Seldon's `Feedback`, of which the reward counts.

Whether a box was right is the business of review, which asks people for boxes and not for a number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from belisha.components.serve.refusals import bad_request

FEEDBACK_PATHS = ("/api/v1.0/feedback", "/api/v0.1/feedback", "/send-feedback")
_MOST_REWARD = 1e6


def reward_of_body(body: bytes) -> float:
    """The reward in a feedback message as JSON; one without a reward says 0, as in Seldon's contract.

    Raises:
        RefusalError: 400, the body is no feedback.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise bad_request('the feedback is no valid JSON: send {"reward": 1}') from None
    if not isinstance(message, Mapping):
        raise bad_request('the feedback is no JSON object: send {"reward": 1}')
    return checked_reward(message.get("reward", 0))


def checked_reward(value: Any) -> float:
    """A reward as a finite number; raises RefusalError with 400."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_request("the reward is no number: send a number such as 1, 0 or -1")
    if not math.isfinite(value) or abs(value) > _MOST_REWARD:
        raise bad_request(f"the reward is not within ±{_MOST_REWARD:g}: send a number such as 1, 0 or -1")
    return float(value)
