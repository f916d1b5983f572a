"""Reports: one self-contained HTML file with pictures and plots, for the KFP UI, a mail or a browser."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup, escape

from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.files import write_bytes_atomic
from belisha.components.shared.images import ImageArray

GREEN, RED, AMBER, BLUE, GREY = (0, 160, 70), (215, 40, 40), (235, 160, 0), (40, 110, 220), (130, 130, 130)
_JPEG_QUALITY = 82
_MAX_PICTURE_WIDTH_PX = 720


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, an optional sentence below it, and HTML blocks made by the functions of this module."""

    title: str
    blocks: Sequence[Markup]
    lead: str = ""


@dataclass(frozen=True, slots=True)
class BoxLayer:
    """Boxes to draw on a picture: `(n, 4)` [x, y, width, height] in its pixels, a colour, optional labels."""

    boxes_xywh_px: FloatArray
    colour_rgb: tuple[int, int, int]
    labels: Sequence[str] = ()


def write_report(path: Path, title: str, lead: str, sections: Sequence[Section]) -> None:
    """Render and write a report atomically."""
    template = _environment().get_template("report.html")
    html = template.render(title=title, lead=lead, sections=sections)
    write_bytes_atomic(path, html.encode())


@functools.lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(loader=PackageLoader("belisha.components.shared", "templates"), autoescape=select_autoescape())


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> Markup:
    """A table; numbers are right-aligned, floats shown with four digits, a `Markup` cell is taken as it is."""
    head = Markup("").join(Markup("<th>{}</th>").format(header) for header in headers)
    body = Markup("").join(Markup("<tr>{}</tr>").format(Markup("").join(_cell(value) for value in row)) for row in rows)
    title = Markup("<caption>{}</caption>").format(caption) if caption else Markup("")
    return Markup("<table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(title, head, body)


def _cell(value: Any) -> Markup:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return Markup("<td>{}</td>").format("–" if value is None else value)
    text = f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.4g}"
    return Markup('<td class="number">{}</td>').format(text)


def paragraph(text: str, *, tone: str = "") -> Markup:
    """A paragraph; tone `good`, `warn` or `bad` colours it."""
    return Markup('<p class="{}">{}</p>').format(tone, text)


def figure(figure_: Any, caption: str) -> Markup:
    """A matplotlib figure as inline SVG; the figure is closed."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure_.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure_)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Markup(
        '<figure><img src="data:image/svg+xml;base64,{}" alt="{}"><figcaption>{}</figcaption></figure>'
    ).format(data, caption, caption)


def new_figure(width_inch: float = 6.0, height_inch: float = 3.6) -> tuple[Any, Any]:
    """A matplotlib figure and its axes on a canvas that needs no display."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "belisha"
    import matplotlib.pyplot as plt

    figure_, axes = plt.subplots(figsize=(width_inch, height_inch))
    axes.grid(visible=True, alpha=0.25)
    return figure_, axes


def picture(image_rgb: ImageArray, caption: str, layers: Sequence[BoxLayer] = ()) -> Markup:
    """A picture with boxes drawn, scaled down to report size, as an inline JPEG."""
    data = base64.b64encode(_jpeg(draw(image_rgb, layers))).decode()
    return Markup('<figure><img src="data:image/jpeg;base64,{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
        data, caption, caption
    )


def gallery(pictures: Sequence[Markup]) -> Markup:
    """Pictures side by side."""
    return Markup('<div class="gallery">{}</div>').format(Markup("").join(pictures))


def draw(image_rgb: ImageArray, layers: Sequence[BoxLayer], max_width_px: int = _MAX_PICTURE_WIDTH_PX) -> ImageArray:
    """A copy of the picture, at most `max_width_px` wide, with every layer's boxes and labels on it."""
    scale = min(1.0, max_width_px / image_rgb.shape[1])
    size_wh = (max(1, round(image_rgb.shape[1] * scale)), max(1, round(image_rgb.shape[0] * scale)))
    canvas = np.ascontiguousarray(cv2.resize(image_rgb, size_wh, interpolation=cv2.INTER_AREA))
    for layer in layers:
        for index, (x, y, width, height) in enumerate(layer.boxes_xywh_px * scale):
            corner, opposite = (round(x), round(y)), (round(x + width), round(y + height))
            cv2.rectangle(canvas, corner, opposite, layer.colour_rgb, 2)
            if index < len(layer.labels):
                place = (corner[0], max(12, corner[1] - 4))
                cv2.putText(
                    canvas, layer.labels[index], place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, layer.colour_rgb, 1, cv2.LINE_AA
                )
    return np.asarray(canvas, dtype=np.uint8)


def _jpeg(image_rgb: ImageArray) -> bytes:
    bgr = np.ascontiguousarray(image_rgb[:, :, ::-1])
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])


__all__ = [
    "AMBER", "BLUE", "GREEN", "GREY", "RED", "BoxLayer", "Markup", "Section", "draw", "escape", "figure", "gallery",
    "new_figure", "paragraph", "picture", "table", "write_report",
]  # fmt: skip
