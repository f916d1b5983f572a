"""Opens candidates' pictures: whether each is there and whole, how large it is, and what it resembles."""

from __future__ import annotations

from collections.abc import Sequence

from belisha.components.review.candidates import Candidate
from belisha.components.review.choose import Look, Looker
from belisha.components.shared.errors import InputError, NotFoundError
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.inference import map_bounded, usable_cpus
from belisha.components.shared.near_duplicates import perceptual_hash
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.progress import ProgressSink, tracked


def looker(progress: ProgressSink) -> Looker:
    """Looks by several threads; a picture that is gone, damaged or not what its digest says is None."""
    reader = PictureReader()

    def look_at(one: Candidate) -> Look | None:
        try:
            image_rgb = decode_rgb(reader.read(one.picture_uri, one.picture_id))
        except (InputError, NotFoundError):
            return None
        height_px, width_px = image_rgb.shape[:2]
        return Look(width_px, height_px, perceptual_hash(image_rgb))

    def look(candidates: Sequence[Candidate]) -> list[Look | None]:
        found = map_bounded(look_at, candidates, usable_cpus())
        return list(tracked(found, progress, step="look", unit="pictures", total=len(candidates)))

    return look
