"""The web page: one self-contained document; nothing outside this address is ever asked for."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

_TEXT = files(__package__ or "").joinpath("page.html").read_text(encoding="utf-8")


def _hashes(tag: str) -> str:
    """Content Security Policy sources of the document's own inline elements."""
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", _TEXT, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found]
    return " ".join(f"'sha256-{digest}'" for digest in digests)


HTML = _TEXT.encode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {_hashes('script')}; style-src {_hashes('style')}; "
        "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
