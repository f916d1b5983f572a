"""The page's server: the queue, its pictures, and one draft a person and picture. Standard library alone.

There is no login: whoever reaches the address may answer under any name, so it listens on this machine alone unless told.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from belisha.components.review.answers import annotator_name
from belisha.components.review.drafts import draft_json, draft_of, read_draft, read_drafts, save_draft
from belisha.components.review.page import document
from belisha.components.review.page.gatekeeper import JSON_TYPE, Gatekeeper, gatekeeper
from belisha.components.review.suggestions import LEAST_SCORE, for_adjudication, suggestions_of
from belisha.components.shared.errors import BelishaError, InputError, NotFoundError
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.review_queue import QueueItem, read_batches, read_imports, waiting_items
from belisha.components.shared.storage import ObjectStore, open_store

_log = logging.getLogger(__name__)
_MAX_BODY_BYTES = 1_000_000
_TIMEOUT_SECONDS = 20.0
_TYPES = ((b"\x89PNG", "image/png"), (b"RIFF", "image/webp"), (b"BM", "image/bmp"))


@dataclass(frozen=True, slots=True)
class PageSettings:
    """How the page is served.

    Attributes:
        host: to listen on.
        port: to listen on; 0 takes a free one.
        allowed_hosts: further names under which the page may be asked for.
        batch: number of the batch to show; 0 for all that wait.
        everything: show pictures that have a truth already, too.
        adjudicate: show pictures with disputed boxes to somebody who decides.
        people: a picture waits until so many people have drawn on it.
        suggestions: show the models' boxes to begin with.
        least_score: weakest box to suggest.
    """

    host: str = "127.0.0.1"
    port: int = 8070
    allowed_hosts: tuple[str, ...] = ()
    batch: int = 0
    everything: bool = False
    adjudicate: bool = False
    people: int = 1
    suggestions: bool = True
    least_score: float = LEAST_SCORE


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body, content type and further headers."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] | None = None


class RefusedError(Exception):
    """A request that gets a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Desk:
    """What the page asks for, apart from HTTP."""

    def __init__(self, store: ObjectStore, settings: PageSettings) -> None:
        self._store, self._settings = store, settings
        self._reader, self._saving = PictureReader(), threading.Lock()
        self._items: dict[str, QueueItem] = {}
        self.refresh()

    def refresh(self) -> list[QueueItem]:
        """Read the queue again; returns what is to be shown, what everybody may finish included."""
        batches, imports = read_batches(self._store), read_imports(self._store)
        self._items = {item.picture_id: item for batch in batches for item in batch.items}
        shown = [batch for batch in batches if self._settings.batch in (0, batch.number)]
        if self._settings.adjudicate:
            return for_adjudication(shown, imports)
        known = [] if self._settings.everything else imports
        return [item for _, item in waiting_items(shown, known, self._settings.people)]

    def queue(self, annotator: str) -> dict[str, Any]:
        """Pictures to look at, and what this person has saved about them; raises InputError."""
        name = annotator_name(annotator, "annotator")
        items = self.refresh()
        known = read_drafts(self._store, self._items, name, adjudicator=self._settings.adjudicate)
        drafts = {draft.vote.picture_id: draft_json(draft) for draft in known}
        return {
            "annotator": name,
            "adjudicate": self._settings.adjudicate,
            "pictures": [self._task(item) for item in items],
            "answers": {item.picture_id: drafts[item.picture_id] for item in items if item.picture_id in drafts},
        }

    def _task(self, item: QueueItem) -> dict[str, Any]:
        suggested = suggestions_of(item, self._settings.least_score) if self._settings.suggestions else []
        facts = ("picture_id", "width_px", "height_px", "camera", "condition", "score")
        return {
            **{name: getattr(item, name) for name in facts},
            "captured_at": item.captured_at.isoformat(),
            "pick": item.pick.value,
            "suggestions": [asdict(one) for one in suggested],
        }

    def picture(self, picture_id: str) -> bytes:
        """Bytes of a picture of the queue; raises RefusedError, StorageError."""
        item = self._items.get(picture_id)
        if item is None:
            raise RefusedError(404, "no such picture was handed out")
        return self._reader.read(item.picture_uri, item.picture_id)

    def save(self, annotator: str, picture_id: str, value: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Save a draft that was made from the revision it names.

        Returns:
            200 and the new draft; or 409 and the saved one, when somebody has saved since under this name.

        Raises:
            InputError: a name, a box or a number cannot be used.
        """
        name = annotator_name(annotator, "annotator")
        value = {**value, "picture_id": picture_id, "adjudicator": self._settings.adjudicate}
        draft = draft_of(value, self._items, name, "answer")
        with self._saving:
            saved = read_draft(
                self._store, name, picture_id, self._items, adjudicator=self._settings.adjudicate
            )  # fmt: skip
            if saved is not None and saved.revision != draft.revision:
                return 409, draft_json(saved)
            draft = replace(draft, revision=draft.revision + 1)
            save_draft(self._store, draft)
        return 200, draft_json(draft)


class ReviewServer(ThreadingHTTPServer):
    """The page on one address; raises InputError when the address is taken or not ours."""

    daemon_threads = True

    def __init__(self, storage_uri: str, settings: PageSettings) -> None:
        self.desk = Desk(open_store(storage_uri), settings)
        self.gate: Gatekeeper = gatekeeper(settings.host, settings.allowed_hosts)
        try:
            super().__init__((settings.host, settings.port), _Handler)
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise InputError(f"cannot listen on {where} ({error.strerror}): give another port") from None

    @property
    def url(self) -> str:
        """Where the page is."""
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve_review(server: ReviewServer) -> None:
    """Answer until interrupted."""
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "belisha", ""
    timeout = _TIMEOUT_SECONDS

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def _answer(self, handle: Any) -> None:
        try:
            # A cluster's probes know the pod by its address alone, and learn nothing but that it lives.
            if self.path != "/healthz" and (refusal := self.server.gate.refusal(self.headers)):
                raise RefusedError(403, refusal)
            reply = handle()
        except RefusedError as error:
            reply = _sentence(error.status, str(error))
        except (InputError, NotFoundError) as error:
            reply = _sentence(400, str(error))
        except BelishaError as error:
            reply = _sentence(503, str(error))
        except Exception:  # noqa: BLE001 - the next request may go well
            _log.exception("a request to the review page failed")
            reply = _sentence(500, "the page's server failed on this request: look at its log")
        self._send(reply)

    def _get(self) -> Reply:
        parts = urlsplit(self.path)
        if parts.path == "/":
            return Reply(200, document.HTML, "text/html; charset=utf-8", document.HEADERS)
        if parts.path == "/healthz":
            return Reply(200, b'{"status": "serving"}')
        if parts.path == "/api/v1/queue":
            return _json(200, self.server.desk.queue(parse_qs(parts.query).get("annotator", [""])[0]))
        if parts.path.startswith("/pictures/"):
            data = self.server.desk.picture(parts.path.removeprefix("/pictures/"))
            kind = next((kind for magic, kind in _TYPES if data.startswith(magic)), "image/jpeg")
            # The name is the digest of the bytes.
            return Reply(200, data, kind, {"Cache-Control": "private, max-age=86400, immutable"})
        raise RefusedError(404, "there is nothing at this address: open / in a browser")

    def _put(self) -> Reply:
        if refusal := self.server.gate.refusal_to_write(self.headers):
            raise RefusedError(403, refusal)
        names = self.path.split("/")
        if names[:4] != ["", "api", "v1", "answers"] or len(names) != 6:
            raise RefusedError(404, "there is nothing at this address: PUT to /api/v1/answers/ANNOTATOR/PICTURE")
        status, draft = self.server.desk.save(unquote(names[4]), names[5], self._body())
        return _json(status, draft)

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            self.close_connection = True
            raise RefusedError(413, f"an answer has a Content-Length of at most {_MAX_BODY_BYTES} bytes")
        try:
            value = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise RefusedError(400, "the answer is not readable as JSON") from None
        if not isinstance(value, dict):
            raise RefusedError(400, "an answer is a JSON object")
        return value

    def _send(self, reply: Reply) -> None:
        has_body = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
        if has_body and (reply.status >= 400 or self.command != "PUT"):
            self.close_connection = True  # the body may not have been read, and must not be taken for a request
        self.send_response(reply.status)
        common = {"Content-Type": reply.content_type, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        for name, value in {**common, "Content-Length": str(len(reply.body)), **(reply.headers or {})}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Requests are not worth a line."""


def _json(status: int, value: Any) -> Reply:
    return Reply(status, json.dumps(value, allow_nan=False).encode())


def _sentence(status: int, text: str) -> Reply:
    return _json(status, {"error": text})
