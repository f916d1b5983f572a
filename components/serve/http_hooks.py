"""The wrapper's REST server made strict: bounded bodies, our headers, and every failure as one JSON sentence.

The wrapper builds the Flask application; a blueprint is the one seam it offers. The hooks run before and after its views.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, g, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException

from belisha.components.serve.answer import Answer
from belisha.components.serve.drawing import drawn_jpeg
from belisha.components.serve.feedback import FEEDBACK_PATHS, reward_of_body
from belisha.components.serve.payload import RequestFacts, facts_of_headers, new_request_id
from belisha.components.serve.refusals import RefusalError, bad_request, too_large

if TYPE_CHECKING:
    from belisha.components.serve.predictor import PedestrianDetector

PREDICT_PATHS = ("/api/v1.0/predictions", "/api/v0.1/predictions", "/predict")
_PATHS = (
    *PREDICT_PATHS,
    *FEEDBACK_PATHS,
    "/health/ping",
    "/health/status",
    "/api/v1.0/health/status",
    "/metadata",
    "/api/v1.0/metadata",
    "/seldon.json",
)
# A picture as Base64 inside JSON takes four bytes for three, and some for the rest of the message.
_JSON_SLACK_BYTES = 65_536
_JPEG = "image/jpeg"
_BAD_FORM = "the form is not understood: send the picture as the file binData"
AfterRequest = Callable[[Response], Any]
_FORM_TYPE, _JSON_TYPE = "multipart/form-data", "application/json"


def blueprint(predictor: PedestrianDetector) -> Blueprint:
    """Hooks and error handlers for the wrapper's application."""
    hooks = _Hooks(predictor)
    found = Blueprint("belisha", __name__)
    found.record(hooks.prepare)
    found.before_app_request(hooks.admit)
    found.after_app_request(hooks.finish)
    found.app_errorhandler(RefusalError)(hooks.refuse)
    found.app_errorhandler(HTTPException)(lambda error: hooks.refuse(_of_http(error)))
    for kind in (ValueError, RecursionError):  # the wrapper's own reading of forms
        found.app_errorhandler(kind)(lambda _: hooks.refuse(bad_request(_BAD_FORM)))
    return found


class _Hooks:
    def __init__(self, predictor: PedestrianDetector) -> None:
        self._predictor = predictor
        self._settings = predictor.service.settings
        self._most_bytes = self._settings.limits.max_bytes * 4 // 3 + _JSON_SLACK_BYTES

    def prepare(self, state: BlueprintSetupState) -> None:
        """Bound forms, and leave the wrapper's CORS headers to requests that come from another origin's page."""
        state.app.config["MAX_CONTENT_LENGTH"] = self._most_bytes
        after_request = state.app.after_request_funcs.get(None, [])
        after_request[:] = [_across_origins(add_headers) for add_headers in after_request]

    def admit(self) -> Response | None:
        """Before the wrapper's view; feedback never reaches it, for the wrapper cannot read ours of a picture."""
        g.began = time.perf_counter()
        g.request_id = new_request_id()
        if request.path not in _PATHS:
            raise RefusalError(
                404, "bad_request", "there is nothing at this path: POST pictures to /api/v1.0/predictions"
            )
        if request.path in PREDICT_PATHS and request.method != "OPTIONS":
            g.facts = facts_of_headers(request.headers)
            g.request_id = g.facts.request_id
            if request.method != "POST":
                raise RefusalError(405, "bad_request", f"{request.method} is not possible here: POST a picture")
            _read_body(self._most_bytes)
        return self._feedback() if request.path in FEEDBACK_PATHS else None

    def _feedback(self) -> Response:
        """Count a reward; the answer is Seldon's empty message."""
        if request.method != "POST":
            raise RefusalError(405, "bad_request", f"{request.method} is not possible here: POST feedback as JSON")
        self._predictor.rewarded(reward_of_body(_received(self._most_bytes, _stated_length(self._most_bytes))))
        return Response("{}", mimetype=_JSON_TYPE)

    def finish(self, response: Response) -> Response:
        response.headers["X-Request-ID"] = g.get("request_id") or new_request_id()
        response.headers["X-Belisha-Model-Version"] = self._settings.model_version
        response.headers["X-Belisha-Role"] = self._role()
        answer: Answer | None = g.get("answer")
        if answer is not None and response.status_code == 200:
            if _wants_jpeg():
                response.data = drawn_jpeg(answer.image_rgb, answer.detections)
                response.mimetype = _JPEG
            # Told when the last byte has gone, so that nobody waits for it.
            response.call_on_close(lambda: self._predictor.observers.answered(answer))
        return response

    def refuse(self, error: RefusalError) -> Response:
        if request.path in PREDICT_PATHS:
            facts: RequestFacts | None = g.get("facts")
            self._predictor.observers.refused(error.outcome, shadow=facts is not None and facts.shadow)
        return _refusal(error)

    def _role(self) -> str:
        facts: RequestFacts | None = g.get("facts")
        return (facts.role if facts else "") or self._settings.role


def _across_origins(add_headers: AfterRequest) -> AfterRequest:
    """To choose CORS headers takes a seventh of a millisecond with the interpreter's lock, and only browsers read them."""

    def add(response: Response) -> Any:
        return add_headers(response) if "Origin" in request.headers else response

    return add


def _refusal(error: RefusalError) -> Response:
    body = current_app.json.dumps({"error": str(error), "request_id": g.get("request_id", "")})
    response = Response(body, status=error.status, mimetype="application/json")
    if error.status == 503:
        response.headers["Retry-After"] = "2"
    return response


def _of_http(error: HTTPException) -> RefusalError:
    status = error.code or 500
    if status == 413:
        return too_large("the body is larger than allowed: make the picture smaller")
    if status >= 500:
        return RefusalError(status, "error", "the request failed: the predictor's log says where")
    return RefusalError(status, "bad_request", "the request is not understood: POST a picture as the body")


def _wants_jpeg() -> bool:
    return bool(request.accept_mimetypes.best_match(("application/json", _JPEG)) == _JPEG)


def _read_body(most_bytes: int) -> None:
    """Read the body within bounds and leave it where the wrapper's view will look for it."""
    body = _received(most_bytes, _stated_length(most_bytes))
    environ = request.environ
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    # Flask remembers a type once it was asked for, so the header is read past it.
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if kind == _FORM_TYPE:
        _refuse_form_without_picture()
    elif kind != _JSON_TYPE:
        # curl labels any --data-binary as a form; a picture parsed as one would be lost.
        environ["CONTENT_TYPE"] = "application/octet-stream"


def _stated_length(most_bytes: int) -> int | None:
    """The body's length as its headers say it, where they do; raises RefusalError when it is too large."""
    stated: int | None = request.content_length
    if stated is not None and stated > most_bytes:
        raise too_large(f"the body has {stated} bytes but {most_bytes} are allowed: make the picture smaller")
    return stated


def _received(most_bytes: int, stated: int | None) -> bytes:
    """The body's bytes; of an unstated length (chunked) at most one more than allowed is read."""
    source = request.environ["wsgi.input"]
    if stated is not None:
        # Gunicorn's body takes what its reader has by the kilobyte, and moves the rest each time.
        source = getattr(source, "reader", source)
    try:
        body = bytes(source.read(most_bytes + 1 if stated is None else stated))
    except Exception:  # noqa: BLE001 - the server's reader raises its own kinds on broken chunks
        raise bad_request("the body is broken: send it again") from None
    if len(body) > most_bytes:
        raise too_large(f"the body has more than {most_bytes} bytes: make the picture smaller")
    if stated is not None and len(body) < stated:
        raise bad_request(f"the body ended after {len(body)} of {stated} bytes: send it again")
    return body


def _refuse_form_without_picture() -> None:
    try:
        files = request.files
    except HTTPException:
        raise
    except Exception:  # noqa: BLE001 - form parsers raise whatever they like on hostile bytes
        raise bad_request(_BAD_FORM) from None
    if "binData" not in files:
        raise bad_request("the form holds no picture: send it as the file binData")
