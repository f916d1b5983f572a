"""Hundreds of malformed pictures and bodies against one living predictor: each is answered, nothing leaks, nothing dies."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import random
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from tests.components.serve.conftest import bright_cell, png
from tests.components.serve.serving import PREDICT, Predictor, Reply

GOOD = png(bright_cell())
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Hostile:
    """A body, and whether it may after all be a valid picture."""

    name: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    may_be_valid: bool = False


def noise_picture(seed: int, size: int = 96) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8))


def originals() -> dict[str, bytes]:
    found = {}
    settings = {"JPEG": {"quality": 80}, "PNG": {}, "WEBP": {"quality": 80}, "BMP": {}}
    for kind, options in settings.items():
        buffer = io.BytesIO()
        noise_picture(len(found)).save(buffer, kind, **options)
        found[kind] = buffer.getvalue()
    return found


def mutated(count: int) -> Iterator[Hostile]:
    """Bit flips, mostly where headers are, truncations, bytes put in and taken out."""
    rng = random.Random(20)
    pictures = originals()
    for number in range(count):
        kind = list(pictures)[number % len(pictures)]
        way = list(WAYS)[number // len(pictures) % len(WAYS)]
        yield Hostile(f"{kind} {way} {number}", WAYS[way](bytearray(pictures[kind]), rng), may_be_valid=True)


def flip_header_bits(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(min(64, len(data)))] ^= 1 << rng.randrange(8)
    return bytes(data)


def flip_bits(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 200)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def cut(data: bytearray, rng: random.Random) -> bytes:
    return bytes(data[: rng.randrange(1, len(data))])


def cut_out(data: bytearray, rng: random.Random) -> bytes:
    begin = rng.randrange(8, len(data))
    return bytes(data[:begin] + data[begin + rng.randint(1, 500) :])


def put_in(data: bytearray, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return bytes(data[:place] + rng.randbytes(rng.randint(1, 500)) + data[place:])


def swap_ends(data: bytearray, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return bytes(data[place:] + data[:place])


WAYS: dict[str, Callable[[bytearray, random.Random], bytes]] = {
    "header bits": flip_header_bits,
    "bits": flip_bits,
    "cut": cut,
    "cut out": cut_out,
    "put in": put_in,
    "swapped": swap_ends,
}


def png_of_size(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that claims a size."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def bomb_jpeg() -> bytes:
    """A JPEG whose header claims 65500 x 65500 pixels."""
    data = bytearray(originals()["JPEG"])
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", 65500, 65500)
    return bytes(data)


def bomb_bmp() -> bytes:
    data = bytearray(originals()["BMP"])
    data[18:26] = struct.pack("<ii", 60_000, 60_000)
    return bytes(data)


def bombs() -> Iterator[Hostile]:
    yield Hostile("PNG of 30000 x 30000 claimed", png_of_size(30_000, 30_000))
    yield Hostile("PNG of 2^31 - 1 claimed", png_of_size(2**31 - 1, 2**31 - 1))
    yield Hostile("PNG of size 0", png_of_size(0, 0))
    yield Hostile("PNG that inflates to 100 MB", png_of_size(96, 96, bytes(100 * MEBIBYTE)), may_be_valid=True)
    yield Hostile("PNG above the pixel limit, all zeros", png_of_size(2000, 1001, bytes(3 * 2001 * 2000)))
    yield Hostile("JPEG of 65500 x 65500 claimed", bomb_jpeg())
    yield Hostile("BMP of 60000 x 60000 claimed", bomb_bmp())
    yield Hostile("picture above the byte limit", originals()["JPEG"] + bytes(3_000_001))
    yield Hostile("body above the byte limit", bytes(5_000_000))
    yield Hostile("Base64 above the byte limit", json.dumps({"binData": "A" * 4_040_000}).encode())


def other_files() -> Iterator[Hostile]:
    files = {
        "GIF": b"GIF89a" + bytes(200),
        "TIFF": b"II*\x00" + bytes(200),
        "PDF": b"%PDF-1.7\n" + bytes(200),
        "ZIP": b"PK\x03\x04" + bytes(200),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "HTML": b"<html>",
        "text": "Fußgänger".encode(),
        "NUL": b"\0",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "pickle": b"\x80\x04\x95" + bytes(50),
        "ELF": b"\x7fELF" + bytes(200),
        "empty": b"",
        "JPEG magic": b"\xff\xd8\xff",
        "PNG magic": b"\x89PNG\r\n\x1a\n",
        "WebP magic": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
        "BMP magic": b"BM",
    }
    yield from (Hostile(name, body) for name, body in files.items())


def json_bodies() -> Iterator[Hostile]:
    good = base64.b64encode(GOOD).decode()
    bodies = [
        *(b"{", b"{}", b'{"binData"', b'{"binData": }', b'{"binData": null}', b'{"binData": 7}', b'{"binData": true}'),
        *(
            b'{"binData": []}',
            b'{"binData": {}}',
            b'{"binData": ""}',
            b'{"binData": "%%%%"}',
            b'{"binData": "\\u00fc"}',
        ),
        *(b'{"jsonData": 1}', b'{"jsonData": {}}', b'{"jsonData": {"image": 1}}', b'{"jsonData": {"image": "x"}}'),
        *(
            b'{"strData": "x"}',
            b'{"data": {"ndarray": [[1]]}}',
            b'{"data": {"tensor": {"shape": [-1], "values": [1]}}}',
        ),
        *(b"{" * 100_000, b'{"a":' * 100_000, b'{"binData": ' + b"[" * 100_000, b'{"a": ' + b"9" * 100_000 + b"}"),
        *(b'{"binData": "\xff\xfe"}', b'{"binData": "\x00"}', b"\xef\xbb\xbf{}", '{"binData": "x"}'.encode("utf-16")),
        *(
            b"{'binData': 'x'}",
            b'{"binData": NaN}',
            b'{"binData": "' + b"=" * 999 + b'"}',
            b"[]",
            b"null",
            b'"x"',
            b"1e999",
        ),
        json.dumps({"binData": good[:-3]}).encode(),
        json.dumps({"binData": good[1:]}).encode(),
        json.dumps({"binData": "data:image/png;base64," + good}).encode(),
        json.dumps({"binData": base64.b64encode(base64.b64encode(GOOD)).decode()}).encode(),
        json.dumps({"binData": good}).encode()[:-9],
    ]
    for number, body in enumerate(bodies):
        yield Hostile(f"JSON {number}", body, {"Content-Type": "application/json"})


def types_and_headers() -> Iterator[Hostile]:
    form = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n%s\r\n--x--\r\n'
    edge = {"Content-Type": "multipart/form-data; boundary=x"}
    yield Hostile("form without an edge", GOOD, {"Content-Type": "multipart/form-data"})
    yield Hostile(
        "form with another edge", form % (b"binData", GOOD), {"Content-Type": "multipart/form-data; boundary=y"}
    )
    yield Hostile("form that is cut", (form % (b"binData", GOOD))[:120], edge)
    yield Hostile("form with another field", form % (b"image", GOOD), edge)
    yield Hostile("form with garbage", form % (b"binData", b"garbage"), edge)
    yield Hostile("form with broken JSON", form.replace(b'; filename="a"', b"") % (b"jsonData", b"{"), edge)
    yield Hostile("form of many parts", (form % (b"a", b"b"))[:-7] * 2000, edge)
    yield Hostile("form as a file of bytes", form % (b"strData", b"\xff\xfe"), edge)
    yield Hostile("huge header", GOOD, {"X-Big": "a" * 20_000})
    yield Hostile("many headers", GOOD, {f"X-{number}": "1" for number in range(150)})
    yield Hostile("huge cookie", GOOD, {"Cookie": "a=" + "b" * 60_000})
    yield Hostile("bad role", GOOD, {"X-Belisha-Role": "king"})
    yield Hostile("bad flag", GOOD, {"X-Belisha-Shadow": "yes"})
    yield Hostile("bad request id", GOOD, {"X-Request-ID": "a b<script>"})
    yield Hostile("long request id", GOOD, {"X-Request-ID": "a" * 129})
    yield Hostile("long camera", GOOD, {"X-Belisha-Camera": "a" * 129})
    yield Hostile("camera with a control letter", GOOD, {"X-Belisha-Camera": "a\tb"})
    yield Hostile("bad length", GOOD, {"Content-Length": "-5"})
    yield Hostile("length that is no number", GOOD, {"Content-Length": "many"})


def corpus() -> list[Hostile]:
    return [*mutated(264), *bombs(), *other_files(), *json_bodies(), *types_and_headers()]


def test_the_corpus_is_as_large_as_promised() -> None:
    bodies = corpus()
    assert len(bodies) >= 300
    assert len({hostile.name for hostile in bodies}) == len(bodies)


@pytest.fixture(scope="module")
def verdicts(tiny_predictor: Predictor) -> dict[str, Reply]:
    return {hostile.name: tiny_predictor.post(hostile.body, headers=hostile.headers) for hostile in corpus()}


def test_each_is_refused_with_a_sentence_or_still_a_picture(verdicts: dict[str, Reply]) -> None:
    wrong = []
    for hostile in corpus():
        reply = verdicts[hostile.name]
        fine = reply.status == 200 and hostile.may_be_valid and "boxes" in reply.json
        refused = 400 <= reply.status < 500 and is_a_sentence(reply, hostile.body)
        if not fine and not refused:
            wrong.append((hostile.name, reply.status, reply.body[:200]))
    assert not wrong
    refused = sum(reply.status != 200 for reply in verdicts.values())
    assert refused >= 200, "the corpus is not hostile any more"


def is_a_sentence(reply: Reply, body: bytes) -> bool:
    """One line that does not repeat what was sent, and no trace of our code."""
    text = reply.json["error"]
    quiet = not any(word in text for word in ("Traceback", "File ", ".py", "line "))
    return set(reply.json) == {"error", "request_id"} and 10 < len(text) < 300 and "\n" not in text and quiet


def test_the_predictor_still_answers_right(tiny_predictor: Predictor, verdicts: dict[str, Reply]) -> None:
    assert len(verdicts) >= 300
    assert tiny_predictor.post(GOOD).json["boxes"] == [{"x": 32, "y": 32, "width": 16, "height": 32, "score": 1.0}]


def test_memory_is_bounded_and_nobody_died(tiny_predictor: Predictor, verdicts: dict[str, Reply]) -> None:
    """After a first round, a second one of the worst leaves memory where it was, and the same processes live."""
    before, family = tiny_predictor.rss_bytes(), {process.pid for process in tiny_predictor.family()}
    for hostile in [*bombs(), *mutated(48), *json_bodies()]:
        tiny_predictor.post(hostile.body, headers=hostile.headers)
    assert {process.pid for process in tiny_predictor.family()} == family
    assert tiny_predictor.rss_bytes() - before < 64 * MEBIBYTE


def test_the_log_holds_neither_payloads_nor_stack_traces(tiny_predictor: Predictor, verdicts: dict[str, Reply]) -> None:
    text = tiny_predictor.log.read_text(errors="replace")
    assert "Traceback" not in text
    assert max(len(line) for line in text.splitlines()) < 2000


RAW = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
    "no method": b"/ HTTP/1.1\r\n\r\n",
    "bad version": b"POST / HTTP/9.9\r\n\r\n",
    "header without a colon": b"POST / HTTP/1.1\r\nhost\r\n\r\n",
    "long path": b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n",
    "bad chunks": f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n".encode(),
    "two lengths": f"POST {PREDICT} HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef".encode(),
}


@pytest.mark.parametrize("case", RAW)
def test_bytes_that_are_no_request(tiny_predictor: Predictor, case: str) -> None:
    answer = exchange(tiny_predictor, RAW[case])
    status = int(answer.split(b" ")[1])
    assert 400 <= status < 500, answer
    assert b'"error"' in answer


def test_a_body_that_ends_early(tiny_predictor: Predictor) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n".encode()
    answer = exchange(tiny_predictor, head + GOOD)
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert b"ended after" in answer


def test_a_body_that_claims_to_be_endless_is_refused_at_once(tiny_predictor: Predictor) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n".encode()
    answer = exchange(tiny_predictor, head)
    assert answer.startswith(b"HTTP/1.1 413"), answer


def exchange(running: Predictor, data: bytes) -> bytes:
    """Send bytes, say that no more come, and read what is answered."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as connection:
        connection.sendall(data)
        answer = b""
        with contextlib.suppress(OSError):  # the server may have ended the connection already
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65_536):
                answer += chunk
        return answer
