"""Anybody's ground truth and detections in COCO's JSON, checked in every number, as flat sets."""

from __future__ import annotations

import contextlib
import gc
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from belisha.components.shared.errors import InputError
from belisha.components.shared.evaluation.sets import BoolArray, DetectionSet, EvaluationSet, FloatArray, IndexArray

MAX_BYTES = 2_000_000_000
# Beyond this a coordinate is a mistake; and COCO's largest area (10^10) is never reached.
MAX_COORDINATE_PX = 100_000.0
PREFERRED_CATEGORIES = ("pedestrian", "person")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CocoTruth:
    """Ground truth as read.

    Attributes:
        path: the file.
        labels: pictures by rising id (numbers before texts), boxes in the order of the file; each picture is its own group.
        index_of_id: the file's image id to the picture's index.
        index_of_name: file name to the picture's index; empty where names are missing or not unique.
        category: name of the category, empty when the file names none.
        category_id: its id in this file, None when the file has none.
        has_heights: whether every picture states its height.
    """

    path: Path
    labels: EvaluationSet
    index_of_id: Mapping[int | str, int]
    index_of_name: Mapping[str, int]
    category: str
    category_id: int | str | None
    has_heights: bool


@dataclass(frozen=True, slots=True)
class CocoDetections:
    """Detections as read; `notes` says which of them were looked at."""

    detections: DetectionSet
    notes: tuple[str, ...]


def read_truth(path: Path, category: str | None = None) -> CocoTruth:
    """Read COCO ground truth: `images`, `annotations` and mostly `categories`.

    Annotations may have `ignore` or `iscrowd` (either makes a region to ignore), `vis_ratio` and `height`.

    Args:
        path: the JSON file.
        category: name of the one to evaluate; by default `pedestrian`, else `person`, else the only one there is.

    Raises:
        InputError: anything about the file is not as it must be.
    """
    document = _read_json(path)
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a JSON object with images and annotations, got {_kind(document)}")
    images = _rows(path, document, "images")
    _ids(path, images, "id")
    images = sorted(images, key=lambda row: _id_order(row["id"]))
    index_of_id = {row["id"]: index for index, row in enumerate(images)}
    if len(index_of_id) != len(images):
        raise InputError(f"{path}: {len(images) - len(index_of_id)} image ids stand twice: give each image its own id")
    annotations = _rows(path, document, "annotations")
    _refuse_repeated_ids(path, annotations)
    name, category_id = _pick_category(path, document, annotations, category)
    annotations = [row for row in annotations if category_id is None or row.get("category_id") == category_id]
    heights = [row.get("height") for row in images]
    has_heights = all(_is_positive(height) for height in heights)
    labels = _labels(path, images, annotations, index_of_id, heights if has_heights else [0] * len(images))
    return CocoTruth(path, labels, index_of_id, _index_of_name(images), name, category_id, has_heights)


def read_detections(path: Path, truth: CocoTruth, category: str | None = None) -> CocoDetections:
    """Read detections on the pictures of `truth`.

    Two forms are read: COCO's results (a list of `image_id`, `bbox`, `score`, mostly `category_id`), and an object with
    `annotations` that have a `score`. Where an object has its own `images`, pictures are found by file name, since its
    ids may be its own; where it has its own `categories`, the category is found by name.

    Args:
        path: the JSON file.
        truth: what the detections belong to.
        category: id or name in this file, where it is not that of the ground truth.

    Raises:
        InputError: anything about the file is not as it must be.
    """
    document = _read_json(path)
    if isinstance(document, list):
        document = {"annotations": document}
    if not isinstance(document, dict):
        raise InputError(
            f"{path}: expected a JSON list of detections or an object with annotations, got {_kind(document)}"
        )
    rows = _rows(path, document, "annotations")
    kept, notes = _of_category(path, document, rows, truth, category)
    image, found_by = _detected_images(path, document, kept, truth)
    boxes = _boxes(path, kept)
    missing = sum("score" not in row for row in kept)
    if missing:
        raise InputError(f"{path}: {missing} of {len(kept)} detections have no score: give each one")
    scores = _numbers(path, kept, "score", [row["score"] for row in kept])
    return CocoDetections(DetectionSet(image, boxes, scores), (*notes, *found_by))


def _read_json(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path} has {size} bytes but {MAX_BYTES} are allowed: evaluate it in parts")
        with _no_garbage_collection():
            return orjson.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give a COCO JSON file") from None
    except orjson.JSONDecodeError as error:
        reason = "nested too deeply" if "limit" in error.msg else str(error).splitlines()[0]
        raise InputError(f"{path} is not JSON ({reason}): give a COCO JSON file") from None


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Millions of new objects, none of them garbage: collecting meanwhile takes a third of the time and finds nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _rows(path: Path, document: Row, key: str) -> list[Row]:
    rows = document.get(key)
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list under the key {key}, got {_kind(rows)}")
    if set(map(type, rows)) - {dict}:
        number, row = next((number, row) for number, row in enumerate(rows) if not isinstance(row, dict))
        raise InputError(f"{path}: expected an object at {key}[{number}], got {_kind(row)}")
    return rows


def _labels(
    path: Path, images: Sequence[Row], rows: Sequence[Row], index_of_id: Mapping[int | str, int], heights: Sequence[Any]
) -> EvaluationSet:
    image = _known_images(path, rows, [index_of_id.get(image_id) for image_id in _ids(path, rows, "image_id")])
    boxes = _boxes(path, rows)
    visible = _numbers(path, rows, "vis_ratio", [row.get("vis_ratio", 1.0) for row in rows])
    if len(visible) and (visible.min() < 0 or visible.max() > 1):
        raise InputError(f"{path}: expected every vis_ratio in 0..1, got {visible.min():g} to {visible.max():g}")
    labelled = _numbers(path, rows, "height", [row.get("height", row["bbox"][3]) for row in rows])
    return EvaluationSet(
        image_ids=tuple(str(row["id"]) for row in images),
        group_index=np.arange(len(images), dtype=np.intp),
        image_height_px=np.array(heights, dtype=np.float64),
        box_image=image,
        boxes_xywh_px=boxes,
        ignore=_ignored(path, rows),
        visible_ratio=visible,
        labelled_height_px=labelled,
    )


def _ignored(path: Path, rows: Sequence[Row]) -> BoolArray:
    ignored = np.zeros(len(rows), np.bool_)
    for key in ("ignore", "iscrowd"):
        ignored |= _numbers(path, rows, key, [row.get(key, 0) for row in rows]) != 0
    return ignored


def _boxes(path: Path, rows: Sequence[Row]) -> FloatArray:
    found: list[Any] = [row.get("bbox") for row in rows]
    # Whole columns are checked at once; who is to blame is only looked for when somebody is.
    if set(map(type, found)) - {list} or set(map(len, found)) - {4}:
        number = next(number for number, box in enumerate(found) if not isinstance(box, list) or len(box) != 4)
        raise InputError(
            f"{path}: expected bbox [x, y, width, height] {_at(rows[number], number)}, got {_kind(found[number])}"
        )
    boxes = _numbers(path, rows, "bbox", list(itertools.chain.from_iterable(found)), a_row=4).reshape(-1, 4)
    wrong = int(np.count_nonzero((boxes[:, 2:] < 0).any(axis=1)))
    if wrong:
        raise InputError(f"{path}: {wrong} boxes have a negative width or height: expected bbox [x, y, width, height]")
    wrong = int(np.count_nonzero((np.abs(boxes) > MAX_COORDINATE_PX).any(axis=1)))
    if wrong:
        raise InputError(
            f"{path}: {wrong} boxes reach beyond {MAX_COORDINATE_PX:g} pixels: expected pixels of the picture"
        )
    return boxes


def _numbers(path: Path, rows: Sequence[Row], key: str, values: Sequence[Any], a_row: int = 1) -> FloatArray:
    """Check that what stands under `key` in all rows, `a_row` values each, are finite numbers; `(n * a_row,)`."""
    if set(map(type, values)) - {int, float, bool}:
        number = next(number for number, value in enumerate(values) if type(value) not in (int, float, bool))
        at = _at(rows[number // a_row], number // a_row)
        raise InputError(f"{path}: expected a number as {key} {at}, got {_kind(values[number])}")
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        numbers = np.array([np.inf])
    wrong = int(np.count_nonzero(~np.isfinite(numbers)))
    if wrong:
        raise InputError(
            f"{path}: {wrong} of {len(rows)} entries have a {key} that is not a finite number: mend or drop them"
        )
    return numbers


def _ids(path: Path, rows: Sequence[Row], key: str) -> list[int | str]:
    """What stands under `key` in all rows, whole numbers or texts."""
    values = [row.get(key) for row in rows]
    if set(map(type, values)) - {int, str}:
        number = next(number for number, value in enumerate(values) if type(value) not in (int, str))
        raise InputError(
            f"{path}: expected a number or text as {key}, got {_kind(values[number])} in {str(dict(rows[number]))[:80]}"
        )
    return values  # type: ignore[return-value]


def _known_images(path: Path, rows: Sequence[Row], index: Sequence[int | None]) -> IndexArray:
    unknown = [row["image_id"] for row, at in zip(rows, index, strict=True) if at is None]
    if unknown:
        raise InputError(
            f"{path}: {len(unknown)} of {len(rows)} entries name pictures that the ground truth does not have, "
            f"the first is image_id {unknown[0]!r}: give the files of one data set"
        )
    return np.array(index, dtype=np.intp)


def _detected_images(
    path: Path, document: Row, rows: Sequence[Row], truth: CocoTruth
) -> tuple[IndexArray, tuple[str, ...]]:
    """Index of each row's picture: by file name where both files have names, else by id."""
    ids = _ids(path, rows, "image_id")
    own = _rows(path, document, "images") if "images" in document else []
    name_of_id = dict(zip(_ids(path, own, "id"), map(_file_name, own), strict=True))
    if not (truth.index_of_name and own and all(name_of_id.values())):
        return _known_images(path, rows, [truth.index_of_id.get(value) for value in ids]), ()
    index = [truth.index_of_name.get(name_of_id.get(value, "")) for value in ids]
    return _known_images(path, rows, index), ("pictures are found by file name",)


def _of_category(
    path: Path, document: Row, rows: Sequence[Row], truth: CocoTruth, category: str | None
) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of the category, and a note where there are others."""
    present = _category_ids(path, rows)
    named = _named_categories(path, document)
    if category is not None:
        wanted = _category_given(path, category, named, present)
    elif named and truth.category:
        wanted = _category_given(path, truth.category, named, set())
    elif len(present) < 2:
        return list(rows), _one_category_note(present, truth)
    elif truth.category_id in present:
        wanted = truth.category_id
    else:
        raise InputError(
            f"{path} has the category ids {_listed(present)}, none of which is {truth.category_id} "
            f"as in the ground truth: name one by --detection-category"
        )
    kept = [row for row in rows if row.get("category_id") == wanted]
    if len(kept) == len(rows):
        return kept, ()
    return kept, (f"{len(kept)} of {len(rows)} detections have category_id {wanted} and were looked at",)


def _one_category_note(present: set[int | str | None], truth: CocoTruth) -> tuple[str, ...]:
    category_id = next(iter(present), None)
    if category_id in (None, truth.category_id) or truth.category_id is None:
        return ()
    return (
        f"all detections have category_id {category_id} and were taken as {truth.category or 'the one category'}, "
        f"which is {truth.category_id} in the ground truth",
    )


def _named_categories(path: Path, document: Row) -> dict[str, int | str]:
    rows = _rows(path, document, "categories") if "categories" in document else []
    return dict(zip([str(row.get("name", "")) for row in rows], _ids(path, rows, "id"), strict=True))


def _category_given(path: Path, category: str, named: Mapping[str, Any], present: set[Any]) -> Any:
    if category in named:
        return named[category]
    by_text = {str(value): value for value in (*named.values(), *present)}
    if category not in by_text:
        raise InputError(
            f"{path} has no category {category}, only {_listed({*named, *by_text})}: name one by --detection-category"
        )
    return by_text[category]


def _category_ids(path: Path, rows: Sequence[Row]) -> set[int | str | None]:
    """Distinct category ids, None among them where a row has none."""
    values = [row.get("category_id") for row in rows]
    if set(map(type, values)) - {int, str, type(None)}:
        _ids(path, [row for row in rows if row.get("category_id") is not None], "category_id")  # says which and why
    return set(values)


def _pick_category(
    path: Path, document: Row, annotations: Sequence[Row], category: str | None
) -> tuple[str, int | str | None]:
    """Name and id of the category of the ground truth to evaluate; id None where all annotations belong."""
    present = _category_ids(path, annotations)
    named = _named_categories(path, document)
    if category is not None:
        if category not in named:
            raise InputError(
                f"{path} has no category {category}, only {_listed(named) or 'unnamed ones'}: name one of these"
            )
        return category, named[category]
    for name in PREFERRED_CATEGORIES:
        if name in named:
            return name, named[name]
    if len(named) == 1:
        name, category_id = next(iter(named.items()))
        return name, category_id
    if not named and len(present) <= 1:
        return "", next(iter(present), None)
    raise InputError(f"{path} has the categories {_listed(named or present)}: name one by --category")


def _refuse_repeated_ids(path: Path, annotations: Sequence[Row]) -> None:
    ids = _ids(path, [row for row in annotations if "id" in row], "id")
    repeated = len(ids) - len(set(ids))
    if repeated:
        raise InputError(f"{path}: {repeated} annotation ids stand twice: give each annotation its own id")


def _index_of_name(images: Sequence[Row]) -> dict[str, int]:
    names = {_file_name(row): index for index, row in enumerate(images)}
    return names if len(names) == len(images) and "" not in names else {}


def _file_name(row: Row) -> str:
    name = row.get("file_name")
    return name if isinstance(name, str) else ""


def _is_positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < value <= MAX_COORDINATE_PX  # type: ignore[operator]


def _id_order(value: int | str) -> tuple[bool, int, str]:
    return (True, 0, value) if isinstance(value, str) else (False, value, "")


def _at(row: Row, number: int) -> str:
    return f"of annotation {row['id']}" if isinstance(row.get("id"), (int, str)) else f"of entry {number}"


def _listed(names: Any) -> str:
    ordered = sorted(str(name) for name in names)
    return ", ".join(ordered[:8]) + (f" and {len(ordered) - 8} more" if len(ordered) > 8 else "")


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 40 else f"{type(value).__name__} {text[:37]}…"
