"""The demonstration's serving part, on real predictors."""

from __future__ import annotations

from pathlib import Path

import pytest

from belisha.components.acquire.synthetic import draw_street, parse_synthetic_uri
from belisha.components.acquire.synthetic.folder import encode_jpeg
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.progress import silent
from belisha.components.shared.report import write_report
from belisha.serving.demo import report_sections, serve_and_split
from belisha.serving.samples import new_streets
from tests.serving_world import make_world, same_boxes


@pytest.mark.parametrize(("models", "roles"), [(1, ["champion"]), (2, ["champion", "challenger"])])
def test_requests_are_split_and_reported(tmp_path: Path, models: int, roles: list[str]) -> None:
    world = make_world(tmp_path, models=models)
    result = serve_and_split(
        str(world.storage), world.pictures, silent, requests=200, challenger_ratio=0.4, cache_dir=tmp_path / "cache"
    )
    assert result.answered == result.requests == 200
    assert [one.role for one in result.models] == roles
    assert sum(one.answers for one in result.models) == 200
    if models == 2:
        assert 50 <= result.models[1].answers <= 110
        assert "v2" in result.sentence
    assert all(
        same_boxes(list(result.examples[0].boxes[one.role]), world.answers[one.version][0]) for one in result.models
    )
    write_report(tmp_path / "report.html", "Serving", "", report_sections(result))
    text = (tmp_path / "report.html").read_text()
    assert text.count("<figure") == 1 + 3 * models
    assert "200 of 200 requests were answered" in text


def test_no_picture_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BelishaError, match="no picture"):
        serve_and_split(str(tmp_path), [], silent)


def test_new_streets_are_of_the_kind_but_not_of_the_set() -> None:
    source = "synthetic://streets?pictures=4&seed=7&width=320&height=192&conditions=night:1"
    new, settings = new_streets(source, 2), parse_synthetic_uri(source)
    known = [encode_jpeg(draw_street(settings, index).image_rgb, settings.jpeg_quality) for index in range(2)]
    assert new == new_streets(source, 2)
    assert not set(new) & set(known)
    assert {decode_rgb(data).shape for data in new} == {(192, 320, 3)}
