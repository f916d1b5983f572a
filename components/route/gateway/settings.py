"""Bounds of the gateway: nothing in it may grow or wait without one."""

from __future__ import annotations

from dataclasses import dataclass

# A picture of 50 MB as base64 in JSON, and some room for the rest of the document.
MAX_BODY_BYTES = 70_000_000


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where the gateway listens and what it allows.

    Attributes:
        host: address to listen on.
        port: 0 takes a free one.
        max_in_flight: requests under way at a time; those above get 503 at once. Enough for the seconds in which a predictor is
            started again under full load.
        max_body_bytes: of one request.
        max_bytes_in_flight: of all bodies held at a time.
        max_header_bytes: of one header line or the request line.
        receive_seconds: for a client to send its body.
        request_seconds: for a predictor to answer one attempt.
        patience_seconds: how long a request waits for any predictor that may answer to be healthy before it gets 503.
        health_interval_seconds: between two looks at each predictor.
        max_shadows: shadow requests under way at a time; those above are dropped and counted.
        drain_seconds: for what is in flight when the gateway is told to stop.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    max_in_flight: int = 256
    max_body_bytes: int = MAX_BODY_BYTES
    max_bytes_in_flight: int = 1_000_000_000
    max_header_bytes: int = 8190
    receive_seconds: float = 30.0
    request_seconds: float = 30.0
    patience_seconds: float = 20.0
    health_interval_seconds: float = 0.5
    max_shadows: int = 16
    drain_seconds: float = 30.0
