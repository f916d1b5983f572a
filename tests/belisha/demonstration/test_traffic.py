"""What the page says of divided requests."""

from __future__ import annotations

from pathlib import Path

from belisha.components.route.routing import Target
from belisha.components.shared.report import write_report
from belisha.demonstration.traffic import Example, report_sections, result_of
from belisha.serving.load import Reply
from tests.serving_world import bright_picture, png

BOX = {"x": 1.0, "y": 2.0, "width": 8.0, "height": 16.0, "score": 0.5}


def test_the_division_is_told_with_its_numbers(tmp_path: Path) -> None:
    targets = (Target("v1", "champion", 0.8, 10), Target("v2", "challenger", 0.2, 10))
    replies = [
        Reply(number * 0.01, 0.005, 0, 200, *(("v2", "challenger") if number % 5 == 0 else ("v1", "champion")))
        for number in range(100)
    ]
    replies.append(Reply(1.0, 0.005, 0, 503))
    example = Example(png(bright_picture(1)), {"champion": [BOX], "challenger": []})

    result = result_of(replies, targets, 2, [example])
    assert (result.requests, result.answered) == (101, 100)
    assert [one.answers for one in result.models] == [80, 20]
    assert abs(result.requests_per_second - 100 / 1.005) < 1e-6
    assert "challenger v2 20 (20%, asked 20%)" in result.sentence

    write_report(tmp_path / "report.html", "Serving", "", report_sections(result))
    text = (tmp_path / "report.html").read_text()
    assert text.count("<figure") == 1 + 2
    assert "100 of 101 requests were answered" in text
