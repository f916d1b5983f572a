"""Numbers in 0..1 by name: how requests are assigned and sampled, so that every process decides alike without talking."""

from __future__ import annotations

import hashlib

_HASH_RANGE = float(2**64)


def unit_interval(salt: str, name: str) -> float:
    """A number in 0..1 (exclusive) that is always the same for the same salt and name, and uniform over names."""
    digest = hashlib.blake2b(f"{salt}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _HASH_RANGE
