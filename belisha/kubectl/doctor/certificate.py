"""When a certificate ends: read from its DER, for no library that we have shows it of a server's certificate."""

from __future__ import annotations

import base64
import re
import ssl
from datetime import UTC, datetime

from belisha.components.shared.errors import ContractError

_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17


def certificates_of(pem: str) -> list[bytes]:
    """Every certificate of a PEM text, as DER."""
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", pem, re.DOTALL)
    try:
        return [ssl.PEM_cert_to_DER_cert(block) for block in blocks]
    except ValueError as error:
        raise ContractError(f"this certificate cannot be read ({error}): create it anew") from None


def pem_of_base64(text: str) -> str:
    """PEM text of a secret's or a webhook's value."""
    try:
        return base64.b64decode(text, validate=True).decode("ascii")
    except ValueError as error:
        raise ContractError(f"this certificate is not base64 of PEM ({error}): create it anew") from None


def not_after(der: bytes) -> datetime:
    """When a certificate ends, UTC; raises ContractError for bytes that are none."""
    try:
        certificate, _ = _inside(der, _SEQUENCE)
        to_be_signed, _ = _inside(certificate, _SEQUENCE)
        if to_be_signed[0] == _VERSION:
            _, to_be_signed = _element(to_be_signed)
        for _ in ("serial", "algorithm", "issuer"):
            _, to_be_signed = _element(to_be_signed)
        validity, _ = _inside(to_be_signed, _SEQUENCE)
        _, rest = _element(validity)
        tag, (text, _) = rest[0], _element(rest)
        return _time_of(text.decode("ascii"), short=tag == _UTC_TIME)
    except (IndexError, ValueError) as error:
        raise ContractError(f"these bytes are no certificate ({error}): create it anew") from None


def _time_of(text: str, *, short: bool) -> datetime:
    """X.509 writes years from 1950 to 2049 with two digits, others with four."""
    if short:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _inside(data: bytes, tag: int) -> tuple[bytes, bytes]:
    if data[0] != tag:
        raise ValueError(f"expected tag {tag:#x}, got {data[0]:#x}")
    return _element(data)


def _element(data: bytes) -> tuple[bytes, bytes]:
    """Content of the first element of DER, and what follows it."""
    length, start = data[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise ValueError("it ends too early")
    return data[start : start + length], data[start + length :]
