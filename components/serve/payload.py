"""What a caller sends, in any of the wrapper's forms, as picture bytes and a few checked facts."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from belisha.components.serve.refusals import bad_request

ROLES = ("champion", "challenger")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MOST_LETTERS = 128
_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What is known of a request besides the picture.

    Attributes:
        request_id: the caller's, or a new one.
        camera: that took the picture, empty when unknown.
        client: that asks, empty when unknown.
        role: of the model as the gateway sees it, empty when it says nothing.
        shadow: the answer goes to the log alone.
        drawn: the experiment's dice chose this model.
    """

    request_id: str
    camera: str = ""
    client: str = ""
    role: str = ""
    shadow: bool = False
    drawn: bool = False


def new_request_id() -> str:
    """An id for a request that came without one."""
    return uuid.uuid4().hex


def facts_of_headers(headers: Mapping[str, str]) -> RequestFacts:
    """Read `X-Request-ID` and `X-Belisha-*`; raises RefusalError with 400 on values that are not understood."""
    return checked_facts(
        request_id=headers.get("X-Request-ID") or headers.get("Seldon-Puid") or "",
        camera=headers.get("X-Belisha-Camera", ""),
        client=headers.get("X-Belisha-Client", ""),
        role=headers.get("X-Belisha-Role", ""),
        shadow=headers.get("X-Belisha-Shadow", ""),
        drawn=headers.get("X-Belisha-Drawn", ""),
    )


def checked_facts(
    *, request_id: str = "", camera: str = "", client: str = "", role: str = "", shadow: str = "", drawn: str = ""
) -> RequestFacts:
    """Facts from text; empty text is the default; raises RefusalError with 400."""
    if request_id and not _REQUEST_ID.fullmatch(request_id):
        raise bad_request("the request id is not understood: use 1 to 128 letters, digits, or one of . _ : -")
    if role and role not in ROLES:
        raise bad_request("the role is not understood: expected champion or challenger")
    return RequestFacts(
        request_id=request_id or new_request_id(),
        camera=_name("camera", camera),
        client=_name("client", client),
        role=role,
        shadow=_flag("shadow", shadow),
        drawn=_flag("drawn", drawn),
    )


def _name(what: str, text: str) -> str:
    if len(text) > _MOST_LETTERS or not (text.isprintable() or not text):
        raise bad_request(f"the name of the {what} is not understood: use up to {_MOST_LETTERS} printable letters")
    return text


def _flag(what: str, text: str) -> bool:
    if text not in ("", "0", "1"):
        raise bad_request(f"the flag {what} is not understood: expected 0 or 1")
    return text == "1"


def picture_of_body(body: bytes) -> bytes:
    """The picture in a raw body: the body itself, or the Base64 inside it where it is a JSON object.

    The first byte decides, not the content type: no picture begins with a brace.
    """
    if not body.lstrip(_SPACE).startswith(b"{"):
        return body
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise bad_request("the body is not a valid JSON object: send a picture, or JSON with binData") from None
    return picture_of_message(message)


def picture_of_message(message: Mapping[str, Any]) -> bytes:
    """The picture in `{"binData": …}` or `{"jsonData": {"image": …}}`; raises RefusalError with 400."""
    if "binData" in message:
        return _decoded(message["binData"], "binData")
    inner = message.get("jsonData")
    if isinstance(inner, Mapping) and "image" in inner:
        return _decoded(inner["image"], "jsonData.image")
    raise bad_request("the message holds no picture: send it as Base64 in binData or in jsonData.image")


def _decoded(value: Any, where: str) -> bytes:
    if isinstance(value, str):
        value = value.encode("ascii", "replace")
    if not isinstance(value, bytes):
        raise bad_request(f"{where} is not text: expected a picture as Base64")
    try:
        return base64.b64decode(value.translate(None, _SPACE), validate=True)
    except binascii.Error:
        raise bad_request(f"{where} is not valid Base64: encode the picture's bytes again") from None
