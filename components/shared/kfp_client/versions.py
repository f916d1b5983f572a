"""Releases of KFP, compared as far as they matter: major and minor."""

from __future__ import annotations

import re

_RELEASE = re.compile(r"v?(\d+)\.(\d+)")


def too_old(server: str, needed: str) -> bool:
    """Whether the server's release is older than the one needed; False when either does not tell."""
    found, wanted = _RELEASE.match(server), _RELEASE.match(needed)
    if found is None or wanted is None:
        return False
    return (int(found[1]), int(found[2])) < (int(wanted[1]), int(wanted[2]))
