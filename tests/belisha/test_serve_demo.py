"""The demonstration's serving part, on real predictors."""

from __future__ import annotations

from pathlib import Path

import pytest

from belisha.components.shared.errors import BelishaError
from belisha.components.shared.progress import silent
from belisha.components.shared.report import write_report
from belisha.serving.demo import report_sections, serve_and_split
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
