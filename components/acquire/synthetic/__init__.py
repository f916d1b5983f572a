"""Streets with pedestrians drawn from a seed: pictures whose labels are exact, in six conditions."""

from belisha.components.acquire.synthetic.folder import generate
from belisha.components.acquire.synthetic.settings import (
    CONDITIONS,
    StreetSettings,
    parse_conditions,
    parse_synthetic_uri,
)
from belisha.components.acquire.synthetic.street import LookAlike, StreetPicture, draw_street

__all__ = [
    "CONDITIONS", "LookAlike", "StreetPicture", "StreetSettings", "draw_street", "generate", "parse_conditions",
    "parse_synthetic_uri",
]  # fmt: skip
