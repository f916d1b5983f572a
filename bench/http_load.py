"""Clients that cost little beside what they measure: requests made beforehand, kept connections, answers not parsed."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

_TIMEOUT_SECONDS = 60.0
_PIECE_BYTES = 65_536

Round = Callable[[int], float]


def post(port: int, path: str, body: bytes, content_type: str) -> bytes:
    """A whole request for a server on this machine."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def closed_loop(port: int, requests: Sequence[bytes], clients: int) -> Round:
    """Clients who ask one after another, each over a connection that is kept for as long as the server keeps it.

    Returns:
        A function that has the clients ask so often in all and gives the seconds it took; it raises RuntimeError on any
        answer but 200.
    """

    def one_round(count: int) -> float:
        numbers = itertools.count()

        def client() -> None:
            with Connection(port) as connection:
                for number in _below(count, numbers):
                    connection.ask(requests[number % len(requests)])

        begin = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            for asked in [pool.submit(client) for _ in range(clients)]:
                asked.result()
        return time.perf_counter() - begin

    return one_round


def _below(count: int, numbers: Iterator[int]) -> Iterator[int]:
    return itertools.takewhile(lambda number: number < count, numbers)


class Connection:
    """One client's connection to a server on this machine, opened again when the server has closed it."""

    def __init__(self, port: int) -> None:
        """Remember where to; nothing is opened yet."""
        self._port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def ask(self, request: bytes) -> float:
        """Send a request and wait for its answer; the seconds it took.

        Raises:
            RuntimeError: the answer is not 200, or states no length.
            OSError: there is none.
        """
        begin = time.perf_counter()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        head = _receive_answer(self._socket)
        if b"connection: close" in head:
            self._close()
        return time.perf_counter() - begin

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _receive_answer(connection: socket.socket) -> bytes:
    """Take a whole answer; its head in small letters."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _piece(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    head = head.lower()
    _, stated, rest = head.partition(b"content-length:")
    if not stated or head.split(b" ", 2)[1] != b"200":
        raise RuntimeError(f"expected 200 and a length, got {data[:300]!r}")
    missing = int(rest.split(b"\r\n", 1)[0]) - len(body)
    while missing > 0:
        missing -= len(_piece(connection))
    return head


def _piece(connection: socket.socket) -> bytes:
    piece = connection.recv(_PIECE_BYTES)
    if not piece:
        raise ConnectionError("the server closed the connection before its answer was whole")
    return piece
