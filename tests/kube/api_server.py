"""A Kubernetes API server in this process, over real HTTP: what a client may count on and what it has to bear.

Objects of any kind by path; resourceVersion and conflicts; generation and the status subresource; label and field selectors;
pages; dry runs; watches with expiry; and faults on order: 409, 429 with Retry-After, 500, 504, refused connections. Answers to
failures are worded as kube-apiserver's own (recorded in tests/components/release/recorded/answers.json).
"""

from __future__ import annotations

import copy
import json
import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
GROUPS = {
    "machinelearning.seldon.io": "v1",
    "networking.istio.io": "v1beta1",
    "monitoring.coreos.com": "v1",
    "apps": "v1",
    "batch": "v1",
}


# Small, so that whoever lists must follow the pages.
PAGE = 2


@dataclass(frozen=True)
class Key:
    """Where an object lives: `collection` is the path of its kind."""

    collection: str
    name: str


class RefusalError(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.headers = code, reason, headers or {}

    def status(self) -> Object:
        return {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": str(self), "reason": self.reason, "code": self.code,
        }  # fmt: skip


@dataclass
class Fault:
    """What happens to the next requests that match, so many times."""

    matches: Callable[[str, str], bool]
    refusal: RefusalError | None
    times: int
    after: bool = False


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    authorization: str = ""


@dataclass
class KubeServer:
    """The objects, and what is done to those who ask for them.

    Attributes:
        groups: API groups that are known, with their version.
        admit: called with an object before it is written; raises RefusalError.
        changed: called after each write, outside the lock.
        looked: called before each list of Deployments: the world moves on while somebody looks.
        requests: all that came, in their order.
        before: called with a request before it is answered.
        pages: answers at paths that are no objects, such as proxied services.
        watch_seconds: after which a watch is ended, as any server may at any time.
    """

    groups: dict[str, str] = field(default_factory=lambda: dict(GROUPS))
    admit: Callable[[Key, Object], None] = lambda *_: None
    changed: Callable[[Key], None] = lambda _: None
    looked: Callable[[], None] = lambda: None
    requests: list[Request] = field(default_factory=list)
    before: Callable[[Request], None] = lambda _: None
    pages: dict[str, Object] = field(default_factory=dict)
    watch_seconds: float = 0.02

    def __post_init__(self) -> None:
        self._objects: dict[Key, Object] = {}
        self._version = 0
        self._oldest_watch = 0
        self._faults: list[Fault] = []
        self._watchers: list[tuple[str, queue.Queue[Object | None]]] = []
        self._lock = threading.RLock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"kube": self}))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        for _, waiting in list(self._watchers):
            waiting.put(None)
        self._http.shutdown()
        self._http.server_close()

    # What the tests order.

    def fail(
        self,
        code: int,
        reason: str,
        *,
        times: int = 1,
        method: str = "",
        path: str = "",
        retry_after: int = 0,
        after: bool = False,
    ) -> None:
        """The next requests of a method to a path that contains this fail; `after`: though their write went through."""
        headers = {"Retry-After": str(retry_after)} if code == 429 else {}
        refusal = RefusalError(code, reason, f"ordered {reason}", headers)
        self._faults.append(Fault(lambda m, p: m.startswith(method) and path in p, refusal, times, after))

    def expire_watches(self) -> None:
        """Forget all changes up to now."""
        self._oldest_watch = self._version + 1

    def objects(self, collection_end: str) -> list[Object]:
        with self._lock:
            return [copy.deepcopy(one) for key, one in self._objects.items() if key.collection.endswith(collection_end)]

    def collected(self, collection: str) -> list[Object]:
        """Objects of a collection, or of a kind in all namespaces."""
        with self._lock:
            return [copy.deepcopy(one) for key, one in self._objects.items() if collection in _collections_of(key)]

    def writes(self, path: str = "") -> list[Request]:
        written = [one for one in self.requests if one.method in ("POST", "PUT") and "dryRun" not in one.query]
        return [one for one in written if path in one.path]

    # What a server does.

    def read(self, key: Key) -> Object | None:
        with self._lock:
            found = self._objects.get(key)
            return copy.deepcopy(found) if found else None

    def write(
        self, key: Key, body: Object, *, create: bool = False, status: bool = False, dry_run: bool = False
    ) -> Object:
        """Create or replace an object under the rules of resourceVersion."""
        with self._lock:
            old = self._objects.get(key)
            new = self._merged(key, body, old, create=create, status=status)
            self.admit(key, new)
            if dry_run:
                return new
            if old is not None and _without_version(old) == _without_version(new):
                return copy.deepcopy(old)
            self._version += 1
            new["metadata"]["resourceVersion"] = str(self._version)
            self._objects[key] = new
            self._tell("MODIFIED" if old else "ADDED", key, new)
        self.changed(key)
        return copy.deepcopy(new)

    def remove(self, key: Key) -> None:
        with self._lock:
            gone = self._objects.pop(key, None)
            if gone is not None:
                self._version += 1
                self._tell("DELETED", key, gone)

    def _merged(self, key: Key, body: Object, old: Object | None, *, create: bool, status: bool) -> Object:
        kind = key.collection.rsplit("/", 1)[-1]
        if create and old is not None:
            raise RefusalError(409, "AlreadyExists", f'{kind} "{key.name}" already exists')
        if not create and old is None:
            raise RefusalError(404, "NotFound", f'{kind} "{key.name}" not found')
        new = copy.deepcopy(body)
        metadata = new.setdefault("metadata", {})
        if old is None:
            metadata.update({"generation": 1, "uid": f"uid-{key.name}", "name": key.name})
            new.pop("status", None)
            return new
        wanted = metadata.get("resourceVersion")
        if wanted and wanted != old["metadata"]["resourceVersion"]:
            sentence = "the object has been modified; please apply your changes to the latest version and try again"
            raise RefusalError(409, "Conflict", f'Operation cannot be fulfilled on {kind} "{key.name}": {sentence}')
        if status:
            new = {**copy.deepcopy(old), "status": new.get("status", {})}
        elif "status" in old:
            new["status"] = copy.deepcopy(old["status"])
        changed = new.get("spec") != old.get("spec")
        new["metadata"]["generation"] = old["metadata"]["generation"] + int(changed)
        return new

    def _tell(self, kind: str, key: Key, body: Object) -> None:
        for collection, waiting in self._watchers:
            if collection == key.collection:
                waiting.put({"type": kind, "object": copy.deepcopy(body)})

    def watch(self, collection: str, since: int) -> queue.Queue[Object | None] | None:
        """Changes from now on; None when those since that version are forgotten."""
        with self._lock:
            if since < self._oldest_watch:
                return None
            waiting: queue.Queue[Object | None] = queue.Queue()
            for key, one in self._objects.items():
                if key.collection == collection and int(one["metadata"]["resourceVersion"]) > since:
                    waiting.put({"type": "MODIFIED", "object": copy.deepcopy(one)})
            self._watchers.append((collection, waiting))
            return waiting

    def fault_for(self, method: str, path: str, *, after: bool) -> RefusalError | None:
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and fault.after is after and fault.matches(method, path):
                    fault.times -= 1
                    return fault.refusal
        return None


def _without_version(body: Object) -> Object:
    metadata = {key: value for key, value in body["metadata"].items() if key not in ("resourceVersion", "generation")}
    return {**body, "metadata": metadata}


def _matches(body: Object, query: dict[str, str]) -> bool:
    labels = body["metadata"].get("labels") or {}
    pairs = [pair.partition("=") for pair in query.get("labelSelector", "").split(",") if pair]
    name = query.get("fieldSelector", "").removeprefix("metadata.name=")
    return all(labels.get(key) == value for key, _, value in pairs) and name in ("", body["metadata"]["name"])


def _collections_of(key: Key) -> tuple[str, str]:
    """The collection that an object lives in, and that of all namespaces."""
    return key.collection, re.sub(r"/namespaces/[^/]+/", "/", key.collection)


def _split(path: str) -> tuple[str, str, str]:
    """Collection, name and subresource of a path."""
    parts = path.strip("/").split("/")
    root = 2 if parts[0] == "api" else 3
    rest = parts[root:]
    scope = rest[:2] if rest[:1] == ["namespaces"] and len(rest) > 2 else []
    rest = rest[len(scope) :]
    collection = "/" + "/".join([*parts[:root], *scope, rest[0]])
    return collection, (rest[1] if len(rest) > 1 else ""), "/".join(rest[2:])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: in two, the second waits for the acknowledgement of the first.
    wbufsize = 1 << 16
    kube: KubeServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        request = Request(method, parts.path, query, self.headers.get("Authorization", ""))
        self.kube.requests.append(request)
        try:
            self.kube.before(request)
            if refusal := self.kube.fault_for(method, parts.path, after=False):
                raise refusal
            answer = self._answer(method, parts.path, query, body)
            if refusal := self.kube.fault_for(method, parts.path, after=True):
                raise refusal
        except RefusalError as refusal:
            self._send(refusal.code, refusal.status(), refusal.headers)
        else:
            if answer is not None:
                self._send(201 if method == "POST" else 200, answer)

    def _answer(self, method: str, path: str, query: dict[str, str], body: Object | None) -> Object | None:
        parts = path.strip("/").split("/")
        if path in self.kube.pages:
            return self.kube.pages[path]
        if parts[0] == "apis" and (len(parts) == 2 or parts[1] not in self.kube.groups):
            if parts[1] not in self.kube.groups:
                raise RefusalError(404, "NotFound", "the server could not find the requested resource")
            return {"kind": "APIGroup", "name": parts[1], "preferredVersion": {"version": self.kube.groups[parts[1]]}}
        collection, name, sub = _split(path)
        if method == "GET" and not name:
            return self._watch(collection, query) if query.get("watch") else self._list(collection, query)
        if method == "GET":
            found = self.kube.read(Key(collection, name))
            if found is None or sub not in ("", "status"):
                raise RefusalError(404, "NotFound", f'{collection.rsplit("/", 1)[-1]} "{name}" not found')
            return found
        assert body is not None
        key = Key(collection, name or body["metadata"]["name"])
        return self.kube.write(key, body, create=method == "POST", status=sub == "status", dry_run="dryRun" in query)

    def _list(self, collection: str, query: dict[str, str]) -> Object:
        if collection.endswith("/deployments"):
            self.kube.looked()
        found = [one for one in self.kube.collected(collection) if _matches(one, query)]
        start, size = int(query.get("continue", 0)), min(int(query.get("limit", 500)), PAGE)
        more = {"continue": str(start + size)} if start + size < len(found) else {}
        return {"kind": "List", "metadata": {"resourceVersion": "0", **more}, "items": found[start : start + size]}

    def _watch(self, collection: str, query: dict[str, str]) -> None:
        waiting = self.kube.watch(collection, int(query.get("resourceVersion", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if waiting is None:
            self._chunk({"type": "ERROR", "object": RefusalError(410, "Expired", "too old resource version").status()})
        else:
            self._stream(waiting, min(self.kube.watch_seconds, float(query.get("timeoutSeconds", 1))))
        self.wfile.write(b"0\r\n\r\n")

    def _stream(self, waiting: queue.Queue[Object | None], seconds: float) -> None:
        try:
            while (event := waiting.get(timeout=seconds)) is not None:
                self._chunk(event)
        except (queue.Empty, OSError):
            return

    def _chunk(self, event: Object) -> None:
        data = json.dumps(event).encode() + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _send(self, code: int, body: Object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
