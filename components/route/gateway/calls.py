"""From an HTTP request to a call: its bounds are checked here, once."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from belisha.components.route.gateway import answers
from belisha.components.route.gateway.answers import RefusedError
from belisha.components.route.routing import Caller

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_NAME = re.compile(r"[\x20-\x7e]{0,200}")
_DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Call:
    """A request for a prediction: who asks, the body, and the headers that a predictor gets."""

    caller: Caller
    body: bytes
    headers: dict[str, str]


def request_id_of(headers: Mapping[str, str]) -> str:
    """The caller's own id where it is a sound one, else a new one."""
    given = headers.get(answers.REQUEST_ID, "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def declared_bytes(request: web.BaseRequest, max_body_bytes: int) -> int:
    """Bytes to reckon with before the body is read; raises RefusedError when they are too many."""
    length = request.content_length
    if length is not None and length > max_body_bytes:
        raise _too_large(max_body_bytes)
    return max_body_bytes if length is None else length


async def read_call(request: web.BaseRequest, request_id: str, *, max_body_bytes: int, seconds: float) -> Call:
    """Read a request's body and facts; raises RefusedError with 400, 408 or 413."""
    headers = request.headers
    names = {name: _checked(name, headers.get(name, "")) for name in (answers.CAMERA, answers.CLIENT, answers.MODEL)}
    caller = Caller(request_id, names[answers.CLIENT], names[answers.CAMERA], names[answers.MODEL])
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RefusedError(
            415, "the body is compressed: send the picture as it is, it is compressed already", "client_error"
        )
    body = await _body(request, max_body_bytes, seconds)
    if not body:
        raise RefusedError(400, "the request has no body: send the bytes of a picture", "client_error")
    return Call(caller, body, _forwarded(caller, headers))


def _forwarded(caller: Caller, headers: Mapping[str, str]) -> dict[str, str]:
    kept = {
        answers.REQUEST_ID: caller.request_id,
        "Content-Type": headers.get("Content-Type", _DEFAULT_TYPE),
        "Accept": headers.get("Accept", answers.JSON_TYPE),
        answers.CAMERA: caller.camera,
        answers.CLIENT: caller.client,
    }
    return {name: value for name, value in kept.items() if value}


def _checked(name: str, value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise RefusedError(
            400, f"header {name} is not up to 200 printable ASCII characters: shorten it", "client_error"
        )
    return value


async def _body(request: web.BaseRequest, max_body_bytes: int, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise RefusedError(
            408, f"the body did not arrive within {seconds:g} s: send it faster", "client_error"
        ) from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(max_body_bytes) from None
    except (web.RequestPayloadError, ConnectionError, ValueError):
        raise RefusedError(400, "the body ended early or is not encoded as its headers say", "client_error") from None


def _too_large(max_body_bytes: int) -> RefusedError:
    text = f"the body is larger than the {max_body_bytes} bytes that are allowed: make the picture smaller"
    return RefusedError(413, text, "client_error")
