"""Pictures that show a change: those that serving kept for people, around the middle of what is usual then and now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from belisha.components.shared.drift_features import FeatureRows
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.images import ImageArray, UnreadablePictureError, decode_rgb
from belisha.components.shared.picture_store import PictureReader

_PICTURES = 3
# Retention may have removed some, so a few more are tried; never all of them.
_TRIES = 9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Example:
    """A picture of a row: when it was taken, its value of the feature in question, and its pixels."""

    time: datetime
    value: float
    image_rgb: ImageArray


def examples_of(
    reference: FeatureRows, current: FeatureRows, column: int, pictures_uri: str
) -> tuple[list[Example], list[Example]]:
    """Up to three kept pictures of each side whose value in `column` is nearest to that side's median.

    Args:
        reference: rows of the reference.
        current: rows of the windows.
        column: of the feature in question.
        pictures_uri: the store of the training data's pictures.
    """
    reader = PictureReader()
    return _typical(reference, column, pictures_uri, reader), _typical(current, column, pictures_uri, reader)


def _typical(rows: FeatureRows, column: int, pictures_uri: str, reader: PictureReader) -> list[Example]:
    kept = np.flatnonzero(rows.picture_uri != "") if len(rows) else np.zeros(0, np.int64)
    if not len(kept):
        return []
    apart = np.abs(rows.values[kept, column] - np.median(rows.values[:, column]))
    found: list[Example] = []
    for index in kept[np.argsort(apart, kind="stable")][:_TRIES]:
        image = _read(str(rows.picture_uri[index]), pictures_uri, reader)
        if image is not None:
            time = _EPOCH + timedelta(microseconds=int(rows.time_us[index]))
            found.append(Example(time, float(rows.values[index, column]), image))
        if len(found) == _PICTURES:
            break
    return found


def _read(uri: str, pictures_uri: str, reader: PictureReader) -> ImageArray | None:
    """Its name is its digest, by which its bytes are checked."""
    digest = uri.rsplit("/", 1)[-1]
    try:
        return decode_rgb(reader.read(uri if "/" in uri else f"{pictures_uri}/{digest[:2]}/{digest}", digest))
    except (BelishaError, UnreadablePictureError):
        return None
