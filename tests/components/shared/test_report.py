from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from belisha.components.shared.report import (
    AMBER,
    BLUE,
    GREEN,
    BoxLayer,
    Fact,
    Markup,
    Section,
    crop_around,
    draw,
    facts,
    figure,
    gallery,
    legend,
    new_figure,
    paragraph,
    picture,
    table,
    write_report,
)

HOSTILE = '<script>alert("x")</script>&\'"'
GREY_IMAGE = np.full((60, 80, 3), 120, np.uint8)


class Collector(HTMLParser):
    """Every tag with its attributes, and that each opened one is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parse(html: str) -> Collector:
    collector = Collector()
    collector.feed(html)
    return collector


def whole_report(path: Path) -> str:
    figure_, axes = new_figure()
    axes.plot([0, 1], [1, 0])
    blocks = [
        facts([Fact(HOSTILE, "0.5", HOSTILE, "good")]),
        paragraph(HOSTILE, tone="warn"),
        table([HOSTILE, "n"], [[HOSTILE, 1], ["b", None]], caption=HOSTILE),
        legend([(GREEN, HOSTILE)]),
        figure(figure_, HOSTILE),
        gallery([picture(GREY_IMAGE, HOSTILE, [BoxLayer(np.array([[5.0, 5, 20, 30]]), BLUE, [HOSTILE])])]),
    ]
    write_report(path, HOSTILE, HOSTILE, [Section(HOSTILE, blocks, HOSTILE), Section("empty", [])])
    return path.read_text()


def test_a_report_needs_nothing_from_outside_and_runs_nothing(tmp_path: Path) -> None:
    parsed = parse(whole_report(tmp_path / "report.html"))
    assert parsed.open == []
    names = [name for name, _ in parsed.tags]
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(names)
    for _, attributes in parsed.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:")
    style = re.search(r"<style>(.*?)</style>", (tmp_path / "report.html").read_text(), re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_a_report_is_the_same_every_time(tmp_path: Path) -> None:
    assert whole_report(tmp_path / "a.html") == whole_report(tmp_path / "b.html")


def test_text_from_data_is_shown_and_never_interpreted(tmp_path: Path) -> None:
    html = whole_report(tmp_path / "report.html")
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 10


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(1234567, "1,234,567", id="count"),
        pytest.param(0.25, "0.2500", id="ratio"),
        pytest.param(-0.0125, "-0.0125", id="difference"),
        pytest.param(0.0, "0", id="zero"),
        pytest.param(0.00001234, "1.234e-05", id="tiny"),
        pytest.param(12.3456, "12.35", id="number"),
        pytest.param(123456.7, "123,457", id="large"),
        pytest.param(float("nan"), "–", id="not a number"),
        pytest.param(np.float32(0.5), "0.5000", id="numpy"),
        pytest.param(None, "–", id="unknown"),
        pytest.param(True, "True", id="truth value"),
        pytest.param(Markup("<b>x</b>"), "<b>x</b>", id="markup"),
    ],
)
def test_a_cell_shows_its_value_so_that_people_can_read_it(value: object, shown: str) -> None:
    assert f">{shown}</td>" in table(["x"], [[value]])


def test_numbers_and_the_gaps_between_them_stand_at_the_right() -> None:
    html = table(["name", "n"], [["a", 1], ["b", None]])
    assert '<th>name</th><th class="number">n</th>' in html
    assert html.count('<td class="number">') == 2
    assert "<tbody></tbody>" in table(["x"], [])


@pytest.mark.parametrize(
    ("width", "least", "most", "expected"),
    [
        pytest.param(80, 0, 720, 80, id="as it is"),
        pytest.param(80, 200, 720, 200, id="enlarged"),
        pytest.param(1600, 0, 720, 720, id="reduced"),
        pytest.param(1, 0, 720, 1, id="one pixel"),
    ],
)
def test_a_picture_is_brought_to_size(width: int, least: int, most: int, expected: int) -> None:
    drawn = draw(np.zeros((width, width, 3), np.uint8), [], most, least)
    assert drawn.shape == (expected, expected, 3)


def test_boxes_are_drawn_where_they_are_and_the_picture_is_left_alone() -> None:
    before = GREY_IMAGE.copy()
    drawn = draw(GREY_IMAGE, [BoxLayer(np.array([[10.0, 20, 30, 25]]), GREEN)])
    np.testing.assert_array_equal(GREY_IMAGE, before)
    assert tuple(drawn[20, 25]) == tuple(drawn[45, 25]) == tuple(drawn[32, 10]) == tuple(drawn[32, 40]) == GREEN
    assert tuple(drawn[32, 25]) == (120, 120, 120)


def test_a_label_of_a_box_that_is_mostly_outside_is_left_out() -> None:
    box = np.array([[-200.0, 10, 210, 30]])
    with_label = draw(GREY_IMAGE, [BoxLayer(box, AMBER, ["far"])])
    np.testing.assert_array_equal(with_label, draw(GREY_IMAGE, [BoxLayer(box, AMBER)]))


@pytest.mark.parametrize("place", [(0.0, 0.0), (70.0, 50.0), (0.0, 55.0), (40.0, 1.0)])
def test_a_label_at_the_border_stays_inside(place: tuple[float, float]) -> None:
    box = np.array([[*place, 9.0, 5.0]])
    labelled = draw(GREY_IMAGE, [BoxLayer(box, AMBER, ["0.99"])])
    assert (labelled != draw(GREY_IMAGE, [BoxLayer(box, AMBER)])).any()


def test_no_boxes_are_no_layers() -> None:
    np.testing.assert_array_equal(draw(GREY_IMAGE, [BoxLayer(np.zeros((0, 4)), BLUE, ["unused"])]), GREY_IMAGE)


def test_a_picture_is_an_inline_jpeg() -> None:
    data = re.search(r'src="data:image/jpeg;base64,([^"]+)"', picture(GREY_IMAGE, "grey"))
    assert data is not None
    with Image.open(io.BytesIO(base64.b64decode(data[1]))) as decoded:
        assert decoded.size == (80, 60)


side = st.integers(1, 300)


@given(side, side, st.tuples(*[st.floats(-50, 350)] * 2), st.tuples(*[st.floats(1, 300)] * 2))
def test_a_crop_lies_in_the_picture_and_holds_what_can_be_seen_of_the_box(
    height: int, width: int, corner: tuple[float, float], size: tuple[float, float]
) -> None:
    x, y = min(corner[0], width - 1), min(corner[1], height - 1)
    image = np.zeros((height, width, 3), np.uint8)
    crop, (left, top) = crop_around(image, np.array([x, y, *size]))
    assert crop.size
    assert 0 <= left <= width - crop.shape[1]
    assert 0 <= top <= height - crop.shape[0]
    assert left <= max(0, x) + 1
    assert top <= max(0, y) + 1
    assert left + crop.shape[1] >= min(width, x + size[0]) - 1
    assert top + crop.shape[0] >= min(height, y + size[1]) - 1
