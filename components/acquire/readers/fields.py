"""Optional fields that several formats share."""

from __future__ import annotations

from datetime import UTC, datetime


def optional_text(value: object) -> str:
    """A string or number as stripped text; anything else as the empty string."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()


def moment(value: object) -> datetime | None:
    """An ISO 8601 moment, timezone-aware (UTC where the source states no zone), or None."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
