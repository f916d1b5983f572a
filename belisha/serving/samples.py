"""Drawn streets that the page offers, the same every time."""

from __future__ import annotations

from belisha.components.route.gateway import Sample

_SEED, _WIDTH_PX, _HEIGHT_PX, _QUALITY = 2024, 960, 576, 88
_SHOWN = (("day", 1), ("dusk", 2), ("night", 3), ("rain", 4), ("fog", 5), ("low_resolution", 6))


def sample_streets() -> tuple[Sample, ...]:
    """One street in each condition."""
    from belisha.components.acquire.synthetic import StreetSettings, draw_street
    from belisha.components.acquire.synthetic.folder import encode_jpeg

    found = []
    for condition, index in _SHOWN:
        settings = StreetSettings(
            pictures=8, seed=_SEED + index, width_px=_WIDTH_PX, height_px=_HEIGHT_PX, conditions=((condition, 1.0),),
            pedestrians=(4, 10),
        )  # fmt: skip
        image = draw_street(settings, 0).image_rgb
        found.append(Sample(condition.replace("_", " ").capitalize(), encode_jpeg(image, _QUALITY)))
    return tuple(found)
