"""One YOLO label line: `class xc yc w h` as fractions of the upright picture, or a polygon `class x1 y1 x2 y2 x3 y3 …`."""

from __future__ import annotations

from pathlib import Path

from belisha.components.acquire.collector import XYWH, RawBox
from belisha.components.acquire.label_files import BadLabelError, head, number

# Unclipped boxes reach beyond the picture; a label in pixels lies far outside of this.
_MAX_FRACTION = 3.0
_MIN_POLYGON_VALUES = 6


def looks_like_labels(path: Path) -> bool:
    """Whether the first line with anything on it is a YOLO label."""
    lines = (line for line in head(path).decode("utf-8", errors="replace").splitlines() if line.strip())
    try:
        parse_line(next(lines, ""), {}, (1, 1), path.name)
    except BadLabelError:
        return False
    return True


def parse_line(
    line: str, names: dict[int, str], size_px: tuple[int, int], where: str, *, first_five: bool = False
) -> RawBox:
    """Parse one line.

    Args:
        line: of the label file.
        names: class names by number; when empty, classes are called by their number.
        size_px: upright width and height.
        where: for the sentence of an error.
        first_five: keypoints follow the box and are left out.

    Raises:
        BadLabelError: the line is no label.
    """
    fields = line.split() or [""]
    class_name = _class_name(fields[0], names, where)
    values = [number(field, where) for field in fields[1:]]
    if first_five and len(values) > 4:
        values = values[:4]
    if any(abs(value) > _MAX_FRACTION for value in values):
        raise BadLabelError(
            "not_normalised", f"{where}: expected fractions of the picture's size, got {line.strip()[:80]!r}"
        )
    if len(values) >= _MIN_POLYGON_VALUES and len(values) % 2 == 0:
        return RawBox(class_name, _around(values, size_px))
    if len(values) != 4:
        raise BadLabelError("wrong_line", f"{where}: expected class xc yc w h, got {len(fields)} fields")
    width, height = size_px
    x, y, w, h = values
    return RawBox(class_name, ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height))


def _class_name(field: str, names: dict[int, str], where: str) -> str:
    value = number(field, f"{where}: class")
    if value < 0 or value != int(value):
        raise BadLabelError("wrong_line", f"{where}: expected a class number, got {field[:40]!r}")
    if names and int(value) not in names:
        raise BadLabelError("unknown_class", f"{where}: class {int(value)} has no name, {len(names)} are known")
    return names.get(int(value), str(int(value)))


def _around(values: list[float], size_px: tuple[int, int]) -> XYWH:
    across, down = values[0::2], values[1::2]
    width, height = size_px
    left, top = min(across) * width, min(down) * height
    return left, top, max(across) * width - left, max(down) * height - top
