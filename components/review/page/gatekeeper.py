"""Who may ask: what keeps other web sites, which the same browser has open, away from the page's addresses.

A site that lets its own name point to this machine (DNS rebinding) still sends its own name as Host; a form or script of
another site cannot send our header or JSON without a preflight, which is never answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

OWN_HEADER = "X-Belisha-Review"
JSON_TYPE = "application/json"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Headers(Protocol):
    """A request's headers, whatever the case of their names."""

    def get(self, name: str, /) -> str | None:
        """The first of that name."""
        ...


@dataclass(frozen=True, slots=True)
class Gatekeeper:
    """Knows the names under which the page may be asked for.

    Attributes:
        hosts: names without ports, lower case.
    """

    hosts: frozenset[str]

    def refusal(self, headers: Headers) -> str:
        """Why a request is not answered, in a sentence; empty when it may be."""
        if host_name(headers.get("Host") or "") not in self.hosts:
            return "this page is not served under that name: use the address that `belisha review serve` has printed"
        return ""

    def refusal_to_write(self, headers: Headers) -> str:
        """The same for a request that changes something."""
        origin = headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != (headers.get("Host") or "").lower():
            return "answers are taken from this page alone"
        if (headers.get("Sec-Fetch-Site") or "same-origin") != "same-origin":
            return "answers are taken from this page alone"
        if headers.get(OWN_HEADER) != "1" or (headers.get("Content-Type") or "").partition(";")[0].strip() != JSON_TYPE:
            return f"answers are JSON with the header {OWN_HEADER}: 1"
        return ""


def gatekeeper(listen_host: str, allowed: Iterable[str] = ()) -> Gatekeeper:
    """One for a server that listens on a host; `allowed` are further names, for example of a proxy."""
    own = (*_LOOPBACK, listen_host, *allowed)
    return Gatekeeper(frozenset(name.lower().strip("[]") for name in own if name and name not in ("0.0.0.0", "::")))


def host_name(value: str) -> str:
    """The name in a Host header, without port and brackets; empty when it is none."""
    try:
        return (urlsplit(f"//{value}").hostname or "") if value and "/" not in value and "@" not in value else ""
    except ValueError:
        return ""
