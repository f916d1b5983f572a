"""HTTP to the KFP API: deadlines on everything, repeats only where a repeat is harmless, answers of bounded size.

Reading is repeated after every passing fault. Creating is repeated only when the server cannot have seen the request (no
connection) or says that it did not take it (429); any other fault is handed to the caller as "maybe done".
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from belisha import __version__
from belisha.components.shared.errors import InputError
from belisha.components.shared.kfp_client.auth import TokenSource, no_token
from belisha.components.shared.kfp_client.errors import KfpError

API = "/apis/v2beta1"
_MOST_BYTES = 32 * 2**20
_PIECE_BYTES = 65_536
_PASSING = (429, 500, 502, 503, 504)
_LONGEST_PAUSE_SECONDS = 30
_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait and how often to try.

    Attributes:
        connect_seconds: until a connection stands.
        read_seconds: between two pieces of an answer.
        answer_seconds: for the whole answer, so that a server that drips cannot hold us.
        attempts: at a request that may be repeated.
        backoff_seconds: before the second repeat; doubles each time.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    answer_seconds: float = 120.0
    attempts: int = 4
    backoff_seconds: float = 0.5


class KfpTransport:
    """Requests to one KFP endpoint.

    Args:
        endpoint: `http://ml-pipeline.kubeflow:8888`, or the address of the UI, with a path before `/apis` where there is one.
        token: asked before every request.
        patience: deadlines and repeats.

    Attributes:
        endpoint: as given, without a slash at its end.
        answered_at: the server's time at its last answer, UTC; None when it did not tell.

    Raises:
        InputError: the endpoint is no http(s) address.
    """

    def __init__(self, endpoint: str, token: TokenSource = no_token, patience: Patience | None = None) -> None:
        self.endpoint = _checked_endpoint(endpoint)
        self._token = token
        self._patience = patience or Patience()
        timeout = urllib3.Timeout(connect=self._patience.connect_seconds, read=self._patience.read_seconds)
        self.answered_at: datetime | None = None
        self._pool = urllib3.PoolManager(timeout=timeout, headers={"User-Agent": f"belisha/{__version__}"})

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at a path below the API; raises KfpError."""
        return self._request("GET", path, query or {}, self._reading())

    def post(self, path: str, value: Any = None, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Send JSON; raises KfpError, with `maybe_done` where it may have taken effect."""
        body = None if value is None else json.dumps(value, allow_nan=False).encode()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        return self._request("POST", path, query or {}, self._creating(), body=body, headers=headers)

    def upload(self, path: str, query: Mapping[str, str], name: str, data: bytes) -> dict[str, Any]:
        """Send a file as the form's `uploadfile`; raises KfpError."""
        body, content_type = urllib3.encode_multipart_formdata({"uploadfile": (name, data, "application/yaml")})
        return self._request("POST", path, query, self._creating(), body=body, headers={"Content-Type": content_type})

    def delete(self, path: str) -> None:
        """Delete what lies at a path; raises KfpError."""
        self._request("DELETE", path, {}, self._creating())

    def _reading(self) -> urllib3.Retry:
        return self._retry(read=self._patience.attempts - 1, status=_PASSING)

    def _creating(self) -> urllib3.Retry:
        return self._retry(read=0, status=(429,))

    def _retry(self, *, read: int, status: tuple[int, ...]) -> urllib3.Retry:
        return urllib3.Retry(
            total=self._patience.attempts - 1,
            read=read,
            other=0,
            redirect=False,
            allowed_methods=None,
            status_forcelist=status,
            backoff_factor=self._patience.backoff_seconds,
            backoff_max=_LONGEST_PAUSE_SECONDS,
            retry_after_max=_LONGEST_PAUSE_SECONDS,
            raise_on_status=False,
        )

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        retries: urllib3.Retry,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        url = f"{self.endpoint}{path if path.startswith('/apis') else API + path}"
        url = f"{url}?{urlencode(query)}" if query else url
        changes = method != "GET"
        try:
            response = self._pool.request(
                method,
                url,
                body=body,
                headers={
                    **self._pool.headers,
                    "Accept": "application/json",
                    **self._authorization(),
                    **(headers or {}),
                },
                retries=retries,
                redirect=False,
                preload_content=False,
            )
            self.answered_at = _date_of(response)
            data = self._whole(response)
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(method, path, error) from None
        if not 200 <= response.status < 300:
            raise self._refused(method, path, response, data)
        return self._parsed(data, response, path, changes=changes)

    def _authorization(self) -> dict[str, str]:
        token = self._token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _whole(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """The answer's body; a connection with anything left in it is not used again."""
        try:
            data = self._read(response)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return data

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        pieces, size, deadline = [], 0, time.monotonic() + self._patience.answer_seconds
        # `read` would wait for a full piece, however slowly the bytes drip in; `read1` gives what is there.
        while piece := response.read1(_PIECE_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > _MOST_BYTES:
                raise urllib3.exceptions.HTTPError(f"an answer of more than {_MOST_BYTES >> 20} MiB")
            if time.monotonic() > deadline:
                raise urllib3.exceptions.HTTPError(
                    f"an answer that took over {self._patience.answer_seconds:g} seconds"
                )
        return b"".join(pieces)

    def _unreachable(self, method: str, path: str, error: Exception) -> KfpError:
        reason = getattr(error, "reason", None) or error
        never_sent = isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
        return KfpError(
            f"{method} {path} got no answer from KFP at {self.endpoint} ({type(reason).__name__}: {_short(str(reason))}): "
            "check the address, the network and the NetworkPolicy",
            maybe_done=method != "GET" and not never_sent,
        )

    def _refused(self, method: str, path: str, response: urllib3.BaseHTTPResponse, data: bytes) -> KfpError:
        status = response.status
        return KfpError(
            f"KFP at {self.endpoint} answered {method} {path} with {status}{_said(data)}: {_advice(status)}",
            status=status if status >= 400 else 401,
            maybe_done=method != "GET" and status >= 500,
        )

    def _parsed(self, data: bytes, response: urllib3.BaseHTTPResponse, path: str, *, changes: bool) -> dict[str, Any]:
        try:
            value = json.loads(data) if data.strip() else {}
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            kind = response.headers.get("Content-Type", "no content type")
            raise KfpError(
                f"{path} of KFP at {self.endpoint} is no JSON object ({_short(kind)}): "
                "give the address of the API, and a token where a login page stands before it",
                maybe_done=changes,
            )
        return value


def segment(text: str) -> str:
    """An identifier as one segment of a path, whatever it holds."""
    return quote(text, safe="")


def _checked_endpoint(endpoint: str) -> str:
    text = endpoint.rstrip("/")
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or parts.query or parts.fragment or parts.username or parts.password:
        raise InputError(
            f"{endpoint[:_EXCERPT]!r} is no address of a KFP API: give one like http://ml-pipeline.kubeflow:8888, "
            "without user, query or fragment"
        )
    return text


def _date_of(response: urllib3.BaseHTTPResponse) -> datetime | None:
    """When the server says that it answered, UTC."""
    try:
        return parsedate_to_datetime(response.headers.get("Date", "")).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def _said(data: bytes) -> str:
    """The server's own words, where it has any."""
    try:
        value = json.loads(data)
        words = value.get("message") or value.get("error_message") or value.get("error") or ""
    except (ValueError, AttributeError, RecursionError):
        return ""
    return f" ({_short(str(words))})" if words else ""


def _short(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= _EXCERPT else f"{printable[:_EXCERPT]}…"


def _advice(status: int) -> str:
    if status < 400:
        return "a login page stands before it: give a token file, or use the API's address inside the cluster"
    if status == 401:
        return "it does not know the token: mount a projected token with the audience pipelines.kubeflow.org"
    if status == 403:
        return "the service account may not do that: bind it to a role in the profile's namespace"
    if status == 404:
        return "it is not there: check name, namespace and address"
    if status == 409:
        return "it exists already"
    if status in _PASSING:
        return "try again later"
    return "correct what it complains of"
