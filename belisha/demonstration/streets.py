"""What the cameras of the demonstration see after the training: the same streets, new people, another hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from belisha.components.acquire.synthetic import draw_street, parse_synthetic_uri
from belisha.components.acquire.synthetic.folder import encode_jpeg
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.manifest import Box


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded picture and what is true of it.

    Attributes:
        data: JPEG.
        picture_id: SHA-256 of it.
        camera: that took it.
        condition: day, dusk, night, ….
        boxes: everybody on it, ignore regions among them.
    """

    data: bytes
    picture_id: str
    camera: str
    condition: str
    boxes: tuple[Box, ...]


def frames(source: str, condition: str, first: int, count: int) -> Iterator[Frame]:
    """Pictures of the streets that a `synthetic://` source draws, under another sky.

    Args:
        source: such as `synthetic://streets?pictures=300&seed=7`; its streets, cameras and crowds are kept.
        condition: of every picture.
        first: number of the first picture; those below the source's own count were trained on.
        count: how many.
    """
    settings = replace(parse_synthetic_uri(source), conditions=((condition, 1.0),), pictures_per_sequence=1)
    for index in range(first, first + count):
        drawn = draw_street(settings, index)
        data = encode_jpeg(drawn.image_rgb, settings.jpeg_quality)
        yield Frame(data, sha256_hex(data), drawn.camera, drawn.condition, drawn.boxes)
