"""What can be chosen about a split, and the short text form of it that a pipeline parameter carries."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from belisha.components.shared.errors import InputError

DEFAULT_RATIOS = "80/10/10"
DEFAULT_SALT = "belisha"
DEFAULT_FOLDS = 5
# A static scene half a minute later still shows the same people; a minute is the usual pause between two clips.
GAP_SECONDS = 60.0
_MAX_FOLDS = 100
_FORMS = "80/10/10, 60/20/20, 80/20:5 (five folds) or 80/10/10:time"


@dataclass(frozen=True, slots=True)
class Ratios:
    """Shares of pictures wanted in each part; they sum to 1. `val` is 0 when folds stand in for it."""

    train: float
    val: float
    test: float

    def __str__(self) -> str:
        shares = (self.train, self.val, self.test) if self.val else (self.train, self.test)
        return "/".join(f"{100 * share:g}" for share in shares)


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """How to split.

    Attributes:
        ratios: wanted shares.
        salt: another salt is another draw; letters, digits, `.`, `_` and `-`.
        folds: cross-validation folds over everything but the test part; 0 for none.
        by_time: cut each group in time instead of assigning whole groups; the numbers that follow are optimistic.
        gap_seconds: a longer pause of one camera begins a new group, and by time this much is left out between parts.
        workers: threads that read pictures; 0 for the CPUs there are.
    """

    ratios: Ratios = Ratios(0.8, 0.1, 0.1)
    salt: str = DEFAULT_SALT
    folds: int = 0
    by_time: bool = False
    gap_seconds: float = GAP_SECONDS
    workers: int = 0


def parse_options(
    ratios: str = DEFAULT_RATIOS,
    salt: str = DEFAULT_SALT,
    *,
    folds: int = 0,
    by_time: bool = False,
    gap_seconds: float = GAP_SECONDS,
) -> SplitOptions:
    """Options from what a person or a pipeline parameter gives.

    Args:
        ratios: `TRAIN/VAL/TEST` or `TRAIN/TEST` with folds; `:K` behind it asks for K folds, `:time` for a cut in time.
        salt: see `SplitOptions`.
        folds: as `:K`.
        by_time: as `:time`.
        gap_seconds: see `SplitOptions`.

    Raises:
        InputError: something is not of that form, or does not go together.
    """
    shares, _, suffix = ratios.strip().partition(":")
    by_time = by_time or suffix == "time"
    if suffix and suffix != "time":
        folds = _fold_count(suffix, ratios)
    parsed = _parse_shares(shares, ratios)
    if not parsed.val and not folds:
        folds = DEFAULT_FOLDS
    _refuse_what_does_not_fit(parsed, folds, by_time=by_time)
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", salt) or set(salt) == {"."}:
        raise InputError(f"the salt is {salt!r}: expected 1 to 64 letters, digits, '.', '_' or '-'")
    if not (math.isfinite(gap_seconds) and gap_seconds >= 0):
        raise InputError(f"the gap is {gap_seconds} seconds: expected 0 or more")
    return SplitOptions(parsed, salt, folds, by_time, gap_seconds)


def _fold_count(text: str, ratios: str) -> int:
    if not text.isdecimal():
        raise InputError(f"the ratios are {ratios!r}: expected {_FORMS}")
    return int(text)


def _parse_shares(text: str, ratios: str) -> Ratios:
    try:
        shares = [float(share) for share in text.split("/")]
    except ValueError:
        shares = []
    total = sum(shares)
    if len(shares) not in (2, 3) or not all(math.isfinite(share) and share > 0 for share in shares):
        raise InputError(f"the ratios are {ratios!r}: expected {_FORMS}")
    if not (math.isclose(total, 100, rel_tol=1e-6) or math.isclose(total, 1, rel_tol=1e-6)):
        raise InputError(f"the ratios {ratios!r} sum to {total:g}: expected a sum of 100 (or 1)")
    train, *val, test = (share / total for share in shares)
    return Ratios(train, val[0] if val else 0.0, test)


def _refuse_what_does_not_fit(ratios: Ratios, folds: int, *, by_time: bool) -> None:
    if folds and ratios.val:
        raise InputError(f"folds take the place of the val part: give two ratios such as 80/20, not {ratios}")
    if folds and by_time:
        raise InputError("folds need whole groups, so they cannot be cut by time: choose one of the two")
    if folds and not 2 <= folds <= _MAX_FOLDS:
        raise InputError(f"{folds} folds were asked for: expected 2 to {_MAX_FOLDS}")
