from __future__ import annotations

import json
from pathlib import Path

import pytest
from kfp.dsl import HTML, Metrics

from belisha.components.shared.kfp_artifacts import log_numbers, publish_report


@pytest.mark.parametrize("numbers", [{}, {"ap50": 0.5, "pictures": 7}], ids=["none", "some"])
def test_numbers_are_logged_and_lie_at_the_path(tmp_path: Path, numbers: dict[str, float]) -> None:
    metrics = Metrics(uri=str(tmp_path / "not yet there" / "metrics"))
    log_numbers(metrics, numbers)
    assert metrics.metadata == numbers
    assert json.loads(Path(metrics.path).read_bytes()) == numbers


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_numbers_that_browsers_cannot_read_are_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        log_numbers(Metrics(uri=str(tmp_path / "metrics")), {"ap50": value})


def test_a_report_replaces_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("new")
    report = HTML(uri=str(tmp_path / "outputs" / "report"))
    Path(report.path).parent.mkdir()
    Path(report.path).write_text("an older and longer one")
    publish_report(tmp_path / "report.html", report)
    assert Path(report.path).read_text() == "new"
