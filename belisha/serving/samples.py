"""Drawn streets: those that the page offers, the same every time, and new ones to ask about."""

from __future__ import annotations

from dataclasses import replace

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


def new_streets(source: str, count: int) -> list[bytes]:
    """Encoded pictures of the kind that a `synthetic://` source draws, but of streets that it never shows.

    Args:
        source: such as `synthetic://streets?pictures=300&seed=7`.
        count: how many, 1 or more.
    """
    from belisha.components.acquire.synthetic import draw_street, parse_synthetic_uri
    from belisha.components.acquire.synthetic.folder import encode_jpeg

    known = parse_synthetic_uri(source)
    settings = replace(known, seed=known.seed + 1, pictures=count)
    return [encode_jpeg(draw_street(settings, index).image_rgb, settings.jpeg_quality) for index in range(count)]
