"""Schedules as KFP takes them: six fields, seconds first, in UTC (the server's `cronScheduleTimezone` unless changed).

KFP takes five fields, too, and reads them as second minute hour day month: `10 10 * * *` then runs every hour. So exactly six
are asked for. The grammar is that of robfig/cron v1, which the server uses.
"""

from __future__ import annotations

import re

from belisha.components.shared.errors import InputError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Name, smallest, largest, words and the number of the first word.
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_PART = re.compile(
    r"(?:(?P<all>[*?])|(?P<low>[0-9]{1,2}|[a-z]{3})(?:-(?P<high>[0-9]{1,2}|[a-z]{3}))?)(?:/(?P<step>[0-9]{1,2}))?"
)
_EXAMPLE = "'0 0 3 * * 1' is every Monday at 03:00:00 UTC"


def check_cron(text: str) -> str:
    """The expression with single spaces; raises InputError when KFP would refuse or misread it."""
    fields = text.split()
    if len(fields) == 5:
        raise InputError(
            f"the schedule {text!r} has five fields, which KFP reads as second minute hour day month: "
            f"write six, seconds first, most likely '0 {' '.join(fields)}'"
        )
    if len(fields) != 6:
        raise InputError(
            f"the schedule {text[:100]!r} has {len(fields)} fields, expected six, seconds first: {_EXAMPLE}"
        )
    for field, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            if not _is_part(part.lower(), low, high, words):
                raise InputError(
                    f"{part[:40]!r} is no {name} ({low} to {high}) of the schedule {text[:100]!r}: {_EXAMPLE}"
                )
    return " ".join(fields)


def _is_part(part: str, low: int, high: int, words: tuple[str, ...]) -> bool:
    found = _PART.fullmatch(part)
    if found is None or (found["step"] and int(found["step"]) == 0):
        return False
    if found["all"]:
        return True
    first = _number(found["low"], low, words)
    last = first if found["high"] is None else _number(found["high"], low, words)
    return first is not None and last is not None and low <= first <= last <= high


def _number(text: str, low: int, words: tuple[str, ...]) -> int | None:
    if text.isdigit():
        return int(text)
    return words.index(text) + low if text in words else None
