"""What the gateway refuses by itself: always a status of 4xx, one sentence in JSON, and it goes on."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from belisha.components.route.gateway import GatewaySettings
from tests.components.route.gateway.running import Front, through_gateway

BOUNDS = GatewaySettings(
    port=0, max_body_bytes=50_000, receive_seconds=0.5, health_interval_seconds=0.05, patience_seconds=1
)
PREDICT = "POST /api/v1.0/predictions HTTP/1.1\r\nHost: x\r\n"
RAW = {
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
    "a bad request line": (b"GARBAGE\r\n\r\n", {400}),
    "a huge header": (PREDICT.encode() + b"X-Junk: " + b"a" * 20_000 + b"\r\n\r\n", {431}),
    "a huge address": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {431}),
    "many headers": (PREDICT.encode() + b"".join(b"X-%d: a\r\n" % n for n in range(5000)) + b"\r\n", {400, 431}),
    "a negative length": (PREDICT.encode() + b"Content-Length: -5\r\n\r\n", {400}),
    "a length that is no number": (PREDICT.encode() + b"Content-Length: many\r\n\r\n", {400}),
    "two lengths": (PREDICT.encode() + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", {400}),
    "a length and chunks": (
        PREDICT.encode() + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400},
    ),
    "a bad chunk": (PREDICT.encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", {400}),
    "a length above the bound": (PREDICT.encode() + b"Content-Length: 99999999999\r\n\r\n", {413}),
    "chunks above the bound": (
        PREDICT.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + (b"2710\r\n" + bytes(10_000) + b"\r\n") * 9, {413},
    ),
    "a body that never comes": (PREDICT.encode() + b"Content-Length: 100\r\n\r\nabc", {408}),
    "no body": (PREDICT.encode() + b"Content-Length: 0\r\n\r\n", {400}),
    "a header with a line break inside": (PREDICT.encode() + b"X-Belisha-Camera: a\x00b\r\nContent-Length: 1\r\n\r\na", {400}),
    "a camera of 201 letters": (
        PREDICT.encode() + b"X-Belisha-Camera: " + b"c" * 201 + b"\r\nContent-Length: 1\r\n\r\na", {400},
    ),
    "a gzip bomb": (b"", {415}),
    "another method": (b"DELETE /api/v1.0/predictions HTTP/1.1\r\nHost: x\r\n\r\n", {405}),
    "another address": (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
}  # fmt: skip


def _bomb() -> bytes:
    packed = gzip.compress(bytes(20_000_000))
    return PREDICT.encode() + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed


async def _send(url: str, raw: bytes) -> tuple[int, bytes]:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(raw)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        lines = head.decode("latin-1").lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
        return int(head.split()[1]), await asyncio.wait_for(reader.readexactly(length), 10)
    finally:
        writer.close()


def test_every_hostile_request_gets_a_sentence_and_the_gateway_goes_on() -> None:
    async def scenario(front: Front) -> None:
        for name, (raw, statuses) in RAW.items():
            status, body = await _send(front.url, raw or _bomb())
            value = json.loads(body)
            assert status in statuses, (name, status, body)
            assert set(value) == {"error", "request_id"}, name
            assert len(value["error"]) < 200, name
            assert "Traceback" not in value["error"], name
            assert (await front.ask()).status == 200, name
        assert front.gateway.in_flight == 0

    through_gateway(scenario, settings=BOUNDS, models=1)


def test_a_client_that_goes_away_leaves_nothing_behind() -> None:
    async def scenario(front: Front) -> None:
        host, port = front.url.removeprefix("http://").split(":")
        for _ in range(20):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(PREDICT.encode() + b"Content-Length: 14\r\n\r\nv1 sleep 0.1 x")
            await writer.drain()
            writer.transport.abort()
        async with asyncio.timeout(10):
            while front.gateway.in_flight:
                await asyncio.sleep(0.02)
        assert (await front.ask()).status == 200

    through_gateway(scenario, settings=BOUNDS, models=1)


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/api/v1.0/state"])
def test_what_is_read_is_there(path: str) -> None:
    async def scenario(front: Front) -> None:
        assert (await front.get(path)).status == 200

    through_gateway(scenario, settings=BOUNDS, models=1)
