"""`SeldonMessage` in and out: what headers say over REST stands in `meta` over gRPC."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from belisha.components.serve.feedback import checked_reward
from belisha.components.serve.payload import RequestFacts, checked_facts, picture_of_message
from belisha.components.serve.refusals import RefusalError, bad_request, failed

if TYPE_CHECKING:
    from belisha.components.serve.predictor import PedestrianDetector

logger = logging.getLogger(__name__)
_TAGS = ("camera", "client", "role", "shadow", "drawn")


def answer_message(predictor: PedestrianDetector, message: Any) -> Any:
    """Answer a `SeldonMessage` by another; a refusal is its status: FAILURE, the HTTP code, one sentence."""
    began = time.perf_counter()
    shadow = False
    try:
        facts = _facts(message)
        shadow = facts.shadow
        answer = predictor.answer(_picture(message), facts, began)
    except RefusalError as error:
        predictor.observers.refused(error.outcome, shadow=shadow)
        return _failure(message, error)
    except Exception:  # nothing of ours may reach the caller as a stack trace
        logger.exception("a gRPC request failed")
        return _failure(message, failed())
    reply = type(message)()
    reply.meta.puid = facts.request_id
    json_format.ParseDict(answer.to_json(), reply.jsonData)
    predictor.observers.answered(answer)
    return reply


def answer_feedback(predictor: PedestrianDetector, feedback: Any) -> Any:
    """Count the reward of a `Feedback`, a reward of 0 too; an empty `SeldonMessage`, or one with the refusal as its status."""
    try:
        predictor.rewarded(checked_reward(feedback.reward))
    except RefusalError as error:
        return _failure(feedback.response, error)
    return type(feedback.response)()


def _failure(message: Any, error: RefusalError) -> Any:
    reply = type(message)()
    reply.meta.puid = message.meta.puid
    reply.status.code = error.status
    reply.status.info = str(error)
    reply.status.reason = error.outcome
    reply.status.status = reply.status.FAILURE
    return reply


def _facts(message: Any) -> RequestFacts:
    tags = {name: _text(message.meta.tags[name]) for name in _TAGS if name in message.meta.tags}
    return checked_facts(request_id=message.meta.puid, **tags)


def _text(value: Any) -> str:
    plain = json_format.MessageToDict(value)
    if isinstance(plain, bool):
        return str(int(plain))
    return f"{plain:g}" if isinstance(plain, float) else str(plain)


def _picture(message: Any) -> bytes:
    kind = message.WhichOneof("data_oneof")
    if kind == "binData":
        return bytes(message.binData)
    if kind == "jsonData":
        return picture_of_message({"jsonData": json_format.MessageToDict(message.jsonData)})
    raise bad_request("the message holds no picture: send its bytes in binData")
