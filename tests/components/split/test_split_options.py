"""Options as people and pipeline parameters give them."""

from __future__ import annotations

import pytest

from belisha.components.shared.errors import InputError
from belisha.components.split.options import SplitOptions, parse_options


@pytest.mark.parametrize(
    ("text", "shares", "folds", "by_time"),
    [
        pytest.param("80/10/10", (0.8, 0.1, 0.1), 0, False, id="default"),
        pytest.param(" 60/20/20 ", (0.6, 0.2, 0.2), 0, False, id="spaces around"),
        pytest.param("0.7/0.15/0.15", (0.7, 0.15, 0.15), 0, False, id="as ratios"),
        pytest.param("80/20", (0.8, 0.0, 0.2), 5, False, id="two shares mean folds"),
        pytest.param("80/20:3", (0.8, 0.0, 0.2), 3, False, id="three folds"),
        pytest.param("80/10/10:time", (0.8, 0.1, 0.1), 0, True, id="cut in time"),
    ],
)
def test_ratios_are_read(text: str, shares: tuple[float, ...], folds: int, by_time: bool) -> None:
    options = parse_options(text)
    assert (options.ratios.train, options.ratios.val, options.ratios.test) == pytest.approx(shares)
    assert (options.folds, options.by_time) == (folds, by_time)


def test_defaults_of_both_doors_agree() -> None:
    assert parse_options() == SplitOptions()
    assert str(parse_options("60/20/20").ratios) == "60/20/20"
    assert str(parse_options("80/20").ratios) == "80/20"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param({"ratios": ""}, "expected 80/10/10", id="empty"),
        pytest.param({"ratios": "80"}, "expected 80/10/10", id="one share"),
        pytest.param({"ratios": "a/b/c"}, "expected 80/10/10", id="words"),
        pytest.param({"ratios": "80/20/0"}, "expected 80/10/10", id="a part of nothing"),
        pytest.param({"ratios": "120/-10/-10"}, "expected 80/10/10", id="negative"),
        pytest.param({"ratios": "nan/10/10"}, "expected 80/10/10", id="not a number"),
        pytest.param({"ratios": "inf/10/10"}, "expected 80/10/10", id="infinite"),
        pytest.param({"ratios": "80/10/20"}, "sum to 110", id="sum"),
        pytest.param({"ratios": "80/10/10:never"}, "expected 80/10/10", id="unknown suffix"),
        pytest.param({"ratios": "80/10/10:5"}, "two ratios", id="folds beside val"),
        pytest.param({"ratios": "80/20:1"}, "expected 2 to 100", id="one fold"),
        pytest.param({"ratios": "80/20", "by_time": True}, "by time", id="folds by time"),
        pytest.param({"salt": ""}, "salt", id="no salt"),
        pytest.param({"salt": "../../etc"}, "salt", id="salt that leaves its folder"),
        pytest.param({"salt": ".."}, "salt", id="salt of dots"),
        pytest.param({"salt": "x" * 65}, "salt", id="long salt"),
        pytest.param({"gap_seconds": -1.0}, "gap", id="negative gap"),
        pytest.param({"gap_seconds": float("nan")}, "gap", id="no gap at all"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_options(**arguments)
