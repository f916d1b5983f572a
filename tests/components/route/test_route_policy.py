"""The policy file: what it says is what is meant, and what is not understood is refused by name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from belisha.components.route.policy import Policy, When, read_policy
from belisha.components.shared.errors import InputError

WHOLE = """
schema: belisha.policy/1
experiment: night-2026
sticky_by: camera
shadow_ratio: 0.25
camera_classes:
  - {name: embedded, cameras: ["gate-*"], max_model_bytes: 8000000}
rules:
  - {name: no scrapers, when: {clients: ["scraper-*"]}, deny: "not entitled"}
  - {name: lab, when: {clients: ["lab-*"]}, use: challenger}
  - {name: testers, when: {clients: ["qa"]}, may_choose: true}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def test_a_whole_policy_is_read(tmp_path: Path) -> None:
    policy = read_policy(written(tmp_path, WHOLE))
    assert policy.shadow_ratio == 0.25
    assert policy.max_model_bytes("gate-7") == 8_000_000
    assert policy.max_model_bytes("square") is None
    assert [rule.name for rule in policy.rules] == ["no scrapers", "lab", "testers"]


def test_an_empty_file_is_the_policy_without_rules(tmp_path: Path) -> None:
    assert read_policy(written(tmp_path, "")) == Policy()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("schema: belisha.policy/2", "schema", id="another version"),
        pytest.param("shadow_ratio: 25", "shadow_ratio", id="percent instead of a ratio"),
        pytest.param("shadow: 0.1", "shadow", id="unknown key"),
        pytest.param("rules: [{name: a}]", "rules.0", id="rule that says nothing"),
        pytest.param("rules: [{name: a, deny: x, use: champion}]", "rules.0", id="rule that says two things"),
        pytest.param("rules: [{name: a, use: winner}]", "rules.0.use", id="unknown role"),
        pytest.param(
            "rules: [{name: a, use: champion, when: {hours_utc: '25:00-26:00'}}]", "hours_utc", id="no such hour"
        ),
        pytest.param("rules: [{name: a, use: champion, when: {hours_utc: night}}]", "hours_utc", id="no window"),
        pytest.param(
            "camera_classes: [{name: a, cameras: [x], max_model_bytes: 0}]", "max_model_bytes", id="zero bytes"
        ),
        pytest.param("- a list", "the file", id="not a mapping"),
        pytest.param("{", "no readable policy", id="not YAML"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(InputError, match=place):
        read_policy(written(tmp_path, text))


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable policy"):
        read_policy(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("window", "hour", "inside"),
    [
        pytest.param("08:00-17:00", 8, True, id="begin is inside"),
        pytest.param("08:00-17:00", 17, False, id="end is outside"),
        pytest.param("22:00-06:00", 23, True, id="over midnight, before it"),
        pytest.param("22:00-06:00", 5, True, id="over midnight, after it"),
        pytest.param("22:00-06:00", 12, False, id="over midnight, noon"),
    ],
)
def test_hours(window: str, hour: int, inside: bool) -> None:
    at = datetime(2026, 5, 1, hour, tzinfo=UTC)
    assert When(hours_utc=window).matches(client="", camera="", at=at) is inside
