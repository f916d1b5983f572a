"""What to draw: settings of the synthetic streets, and their form as a URI."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from belisha.components.shared.errors import InputError

SCHEME = "synthetic"
CONDITIONS = ("day", "dusk", "night", "rain", "fog", "low_resolution")
DEFAULT_CONDITIONS = (
    ("day", 0.4), ("dusk", 0.12), ("night", 0.16), ("rain", 0.12), ("fog", 0.1), ("low_resolution", 0.1),
)  # fmt: skip
_EXAMPLE = "synthetic://streets?pictures=300&seed=7&conditions=day:0.6,night:0.4&width=640&height=384"
_MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class StreetSettings:
    """What to draw. Picture `i` depends on everything here but `pictures` and `jpeg_quality`.

    Attributes:
        pictures: how many, 1..1,000,000.
        seed: 0..2^63-1; the same seed gives the same streets, cameras and people.
        width_px: 160..4096.
        height_px: 96..4096.
        conditions: names out of `CONDITIONS` with their shares of the sequences; normalised to a sum of 1.
        pedestrians: least and most people on the street at a time, 0..60; fewer may stand in the picture.
        cameras: how many static cameras take turns, 1..10,000.
        pictures_per_sequence: consecutive pictures of one camera that show the same people walking on, 1..1000.
        first_index: number of the first picture, so that a later call can go on where an earlier one ended.
        jpeg_quality: 30..100, of the files.
    """

    pictures: int = 300
    seed: int = 0
    width_px: int = 640
    height_px: int = 384
    conditions: tuple[tuple[str, float], ...] = DEFAULT_CONDITIONS
    pedestrians: tuple[int, int] = (0, 12)
    cameras: int = 24
    pictures_per_sequence: int = 4
    first_index: int = 0
    jpeg_quality: int = 90

    def __post_init__(self) -> None:
        _check_range("pictures", self.pictures, 1, 1_000_000)
        _check_range("seed", self.seed, 0, _MAX_SEED)
        _check_range("width", self.width_px, 160, 4096)
        _check_range("height", self.height_px, 96, 4096)
        _check_range("pedestrians (least)", self.pedestrians[0], 0, 60)
        _check_range("pedestrians (most)", self.pedestrians[1], self.pedestrians[0], 60)
        _check_range("cameras", self.cameras, 1, 10_000)
        _check_range("sequence", self.pictures_per_sequence, 1, 1000)
        _check_range("first", self.first_index, 0, 1_000_000_000)
        _check_range("quality", self.jpeg_quality, 30, 100)
        object.__setattr__(self, "conditions", _normalised(dict(self.conditions)))


def parse_conditions(text: str) -> tuple[tuple[str, float], ...]:
    """Read `day:0.6,night:0.4`, or `day,night` for equal shares; raises InputError."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, colon, share = part.partition(":")
        if name in shares:
            raise InputError(f"the condition {name!r} stands twice in {text!r}: name each once")
        shares[name] = _share(name, share) if colon else 1.0
    return _normalised(shares)


def parse_synthetic_uri(uri: str) -> StreetSettings:
    """Settings from `synthetic://streets?pictures=300&seed=7&conditions=day:0.6,night:0.4&width=640&height=384`.

    Further keys: `pedestrians=2-8`, `cameras`, `sequence` (pictures per sequence), `first` (index), `quality` (JPEG).

    Raises:
        InputError: not this scheme, an unknown or repeated key, or a value out of range.
    """
    scheme, host, path, query = _split(uri)
    if scheme != SCHEME or host != "streets" or path not in ("", "/"):
        raise InputError(f"{uri!r} is no synthetic source: expected something like {_EXAMPLE}")
    fields: dict[str, Any] = {}
    for key, value in query:
        if key not in _KEYS:
            raise InputError(f"{uri!r} has the unknown key {key!r}: known are {', '.join(_KEYS)}")
        field, read = _KEYS[key]
        if field in fields:
            raise InputError(f"{uri!r} gives {key!r} twice: give it once")
        fields[field] = read(key, value)
    return StreetSettings(**fields)


def _split(uri: str) -> tuple[str, str, str, list[tuple[str, str]]]:
    try:
        parts = urlsplit(uri)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), max_num_fields=50)
    except ValueError as error:
        raise InputError(f"{uri!r} is no readable URI ({error}): expected something like {_EXAMPLE}") from None
    return parts.scheme, parts.netloc, parts.path, query


def _integer(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise InputError(f"{key}: expected a whole number, got {text!r}")
    return int(text)


def _range(key: str, text: str) -> tuple[int, int]:
    least, dash, most = text.partition("-")
    return _integer(key, least), _integer(key, most if dash else least)


_KEYS: Mapping[str, tuple[str, Callable[[str, str], Any]]] = {
    "pictures": ("pictures", _integer),
    "seed": ("seed", _integer),
    "conditions": ("conditions", lambda _, text: parse_conditions(text)),
    "width": ("width_px", _integer),
    "height": ("height_px", _integer),
    "pedestrians": ("pedestrians", _range),
    "cameras": ("cameras", _integer),
    "sequence": ("pictures_per_sequence", _integer),
    "first": ("first_index", _integer),
    "quality": ("jpeg_quality", _integer),
}


def _share(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"the share of condition {name!r}: expected a number, got {text!r}") from None


def _normalised(shares: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    for name, share in shares.items():
        if name not in CONDITIONS:
            raise InputError(f"there is no condition {name!r}: known are {', '.join(CONDITIONS)}")
        if not (math.isfinite(share) and 0 <= share <= 1e6):
            raise InputError(f"the share of condition {name!r}: expected 0 or more, got {share}")
    total = sum(shares.values())
    if total <= 0:
        raise InputError(f"no condition has a share above 0: name at least one of {', '.join(CONDITIONS)}")
    return tuple((name, shares[name] / total) for name in CONDITIONS if shares.get(name, 0) > 0)


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InputError(f"{name}: expected {least} to {most}, got {value}")
