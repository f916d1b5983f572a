"""Reports: one self-contained HTML file with pictures and plots, for the KFP UI, a mail or a browser."""

from __future__ import annotations

import base64
import functools
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup, escape

from belisha.components.shared.boxes import FloatArray, area_px2, clip_xywh
from belisha.components.shared.files import write_bytes_atomic
from belisha.components.shared.images import ImageArray

GREEN, RED, AMBER, BLUE, GREY = (0, 160, 70), (215, 40, 40), (235, 160, 0), (40, 110, 220), (130, 130, 130)
_JPEG_QUALITY = 82
_MAX_PICTURE_WIDTH_PX = 720
_LABEL_SCALE = 0.42
_LABEL_PAD_PX = 3
# As the template writes them; what a section holds is escaped, so it cannot hold the closing tag.
_SECTION = re.compile(r"<section>.*?</section>", re.DOTALL)
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, an optional sentence below it, and HTML blocks made by the functions of this module."""

    title: str
    blocks: Sequence[Markup]
    lead: str = ""


@dataclass(frozen=True, slots=True)
class BoxLayer:
    """Boxes to draw on a picture: `(n, 4)` [x, y, width, height] in its pixels, a colour, optional labels, line width."""

    boxes_xywh_px: FloatArray
    colour_rgb: tuple[int, int, int]
    labels: Sequence[str] = ()
    line_px: int = 2


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure that the reader must not miss: its name, its value as text, a remark, and a tone as for `paragraph`."""

    name: str
    value: str
    remark: str = ""
    tone: str = ""


def write_report(path: Path, title: str, lead: str, sections: Sequence[Section]) -> None:
    """Render and write a report atomically."""
    template = _environment().get_template("report.html")
    html = template.render(title=title, lead=lead, sections=sections)
    write_bytes_atomic(path, html.encode())


def sections_of(path: Path) -> list[Markup]:
    """The sections of a report that `write_report` wrote, to be put into another report."""
    return [Markup(found) for found in _SECTION.findall(path.read_text())]


@functools.lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(loader=PackageLoader("belisha.components.shared", "templates"), autoescape=select_autoescape())


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> Markup:
    """A table; numbers are right-aligned, floats shown with four digits, a `Markup` cell is taken as it is."""
    numeric = [_is_numeric_column([row[index] for row in rows]) for index in range(len(headers))]
    head = Markup("").join(map(_head, headers, numeric))
    body = Markup("").join(Markup("<tr>{}</tr>").format(Markup("").join(map(_cell, row, numeric))) for row in rows)
    title = Markup("<caption>{}</caption>").format(caption) if caption else Markup("")
    return Markup('<div class="scroll"><table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>').format(
        title, head, body
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_numeric_column(values: Sequence[Any]) -> bool:
    """Whether there are only numbers and gaps, so that header, numbers and gaps line up at the right."""
    return bool(values) and all(value is None or _is_number(value) for value in values)


def _head(header: str, numeric: bool) -> Markup:
    return Markup('<th class="number">{}</th>' if numeric else "<th>{}</th>").format(header)


def _cell(value: Any, numeric: bool = False) -> Markup:
    if _is_number(value):
        return Markup('<td class="number">{}</td>').format(_number_text(value))
    shown = "–" if value is None else value
    return Markup('<td class="number">{}</td>' if numeric else "<td>{}</td>").format(shown)


def _number_text(value: Any) -> str:
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if not math.isfinite(value):
        return "–"
    if 0.001 <= abs(value) < 1:
        return f"{value:.4f}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def paragraph(text: str, *, tone: str = "") -> Markup:
    """A paragraph; tone `good`, `warn` or `bad` colours it."""
    return Markup('<p class="{}">{}</p>').format(tone, text)


def facts(items: Sequence[Fact]) -> Markup:
    """The most important figures as a row of cards."""
    cards = Markup("").join(
        Markup(
            '<div class="fact"><span class="name">{}</span><span class="value {}">{}</span><span>{}</span></div>'
        ).format(item.name, item.tone, item.value, item.remark)
        for item in items
    )
    return Markup('<div class="facts">{}</div>').format(cards)


def legend(entries: Sequence[tuple[tuple[int, int, int], str]]) -> Markup:
    """What the colours of drawn boxes mean: (colour, words) pairs."""
    keys = Markup("").join(
        Markup('<span><i style="border-color: rgb({}, {}, {})"></i>{}</span>').format(*colour, words)
        for colour, words in entries
    )
    return Markup('<p class="legend">{}</p>').format(keys)


def figure(figure_: Any, caption: str) -> Markup:
    """A matplotlib figure as inline SVG; the figure is closed."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure_.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure_)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Markup(
        '<figure class="plot"><img src="data:image/svg+xml;base64,{}" alt="{}"><figcaption>{}</figcaption></figure>'
    ).format(data, caption, caption)


def new_figure(width_inch: float = 6.0, height_inch: float = 3.6) -> tuple[Any, Any]:
    """A matplotlib figure and its axes on a canvas that needs no display."""
    import matplotlib as mpl

    mpl.use("Agg")
    # Text stays text: a third of the bytes, sharp at any size, and the reader can search it.
    mpl.rcParams.update({"svg.hashsalt": "belisha", "svg.fonttype": "none", "font.family": "sans-serif"})
    import matplotlib.pyplot as plt

    figure_, axes = plt.subplots(figsize=(width_inch, height_inch))
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_, axes


def picture(image_rgb: ImageArray, caption: str, layers: Sequence[BoxLayer] = (), *, min_width_px: int = 0) -> Markup:
    """A picture with boxes drawn, brought to report size, as an inline JPEG."""
    data = base64.b64encode(_jpeg(draw(image_rgb, layers, min_width_px=min_width_px))).decode()
    return Markup('<figure><img src="data:image/jpeg;base64,{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
        data, caption, caption
    )


def gallery(pictures: Sequence[Markup], *, wide: bool = False) -> Markup:
    """Pictures side by side, three or four to a row; `wide` for plots, two to a row."""
    kind = "gallery wide" if wide else "gallery"
    return Markup('<div class="{}">{}</div>').format(kind, Markup("").join(pictures))


def crop_around(
    image_rgb: ImageArray, box_xywh_px: FloatArray, *, context_ratio: float = 0.75, aspect: float = 4 / 3
) -> tuple[ImageArray, tuple[int, int]]:
    """Cut out a box with its surroundings, so that a person sees the object and where it stands.

    Args:
        image_rgb: `(height, width, 3)` uint8.
        box_xywh_px: `(4,)` [x, y, width, height] in its pixels.
        context_ratio: surroundings on each side, as a share of the box's longer side.
        aspect: width over height of the cut, kept unless the picture is too small.

    Returns:
        A view on the picture, and its (left, top) in it.
    """
    x, y, width, height = (float(value) for value in box_xywh_px)
    context = context_ratio * max(width, height)
    height_px = max(height + 2 * context, (width + 2 * context) / aspect, 48)
    left, right = _span(x + width / 2, height_px * aspect, image_rgb.shape[1])
    top, bottom = _span(y + height / 2, height_px, image_rgb.shape[0])
    return image_rgb[top:bottom, left:right], (left, top)


def _span(centre: float, length: float, limit: int) -> tuple[int, int]:
    """Whole pixels around a centre, shifted inside 0..limit."""
    size = max(1, min(limit, round(length)))
    begin = min(max(0, round(centre - size / 2)), limit - size)
    return begin, begin + size


def draw(
    image_rgb: ImageArray,
    layers: Sequence[BoxLayer],
    max_width_px: int = _MAX_PICTURE_WIDTH_PX,
    min_width_px: int = 0,
) -> ImageArray:
    """A copy of the picture, `min_width_px` to `max_width_px` wide, with every layer's boxes and labels on it."""
    width_px = image_rgb.shape[1]
    scale = min(max(width_px, min_width_px), max_width_px) / width_px
    size_wh = (max(1, round(width_px * scale)), max(1, round(image_rgb.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = np.array(cv2.resize(image_rgb, size_wh, interpolation=way), dtype=np.uint8)
    for layer in layers:
        for corner, opposite in _corners(layer.boxes_xywh_px * scale):
            cv2.rectangle(canvas, corner, opposite, layer.colour_rgb, layer.line_px, cv2.LINE_AA)
    for layer in layers:
        boxes = layer.boxes_xywh_px[: len(layer.labels)] * scale
        for (corner, _), label, shown in zip(
            _corners(boxes), layer.labels, _mostly_inside(boxes, size_wh), strict=False
        ):
            if shown:
                _write_label(canvas, label, corner, layer.colour_rgb)
    return canvas


def _mostly_inside(boxes_xywh_px: FloatArray, size_wh: tuple[int, int]) -> list[bool]:
    """Whether at least half of each box is on the canvas: the label of another would stand at nothing."""
    whole = clip_xywh(boxes_xywh_px.astype(np.float64), *size_wh)
    return [bool(2 * inside >= area) for inside, area in zip(area_px2(whole), area_px2(boxes_xywh_px), strict=True)]


def _corners(boxes_xywh_px: FloatArray) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    return [((round(x), round(y)), (round(x + width), round(y + height))) for x, y, width, height in boxes_xywh_px]


def _write_label(canvas: ImageArray, label: str, corner: tuple[int, int], colour_rgb: tuple[int, int, int]) -> None:
    """White or black letters on a patch of the box's colour, above the box or, where there is no room, inside it."""
    (width, height), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, _LABEL_SCALE, 1)
    patch_height = height + 2 * _LABEL_PAD_PX
    left = max(0, min(corner[0] - 1, canvas.shape[1] - width - 2 * _LABEL_PAD_PX))
    top = corner[1] - patch_height if corner[1] >= patch_height else max(0, corner[1])
    opposite = (left + width + 2 * _LABEL_PAD_PX, top + patch_height)
    cv2.rectangle(canvas, (left, top), opposite, colour_rgb, cv2.FILLED)
    letters = _BLACK if np.dot(colour_rgb, (0.299, 0.587, 0.114)) > 150 else _WHITE
    place = (left + _LABEL_PAD_PX, top + height + _LABEL_PAD_PX)
    cv2.putText(canvas, label, place, cv2.FONT_HERSHEY_SIMPLEX, _LABEL_SCALE, letters, 1, cv2.LINE_AA)


def _jpeg(image_rgb: ImageArray) -> bytes:
    bgr = np.ascontiguousarray(image_rgb[:, :, ::-1])
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])


__all__ = [
    "AMBER", "BLUE", "GREEN", "GREY", "RED", "BoxLayer", "Fact", "Markup", "Section", "crop_around", "draw", "escape", "facts",
    "figure", "gallery", "legend", "new_figure", "paragraph", "picture", "sections_of", "table", "write_report",
]  # fmt: skip
