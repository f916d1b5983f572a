"""Which classes count, by default and by the user's word."""

from __future__ import annotations

import pytest

from belisha.components.acquire.class_map import ClassMap, Role, class_map, parse_rules
from belisha.components.shared.errors import InputError


@pytest.mark.parametrize(
    ("name", "role"),
    [
        pytest.param("person", Role.PEDESTRIAN, id="COCO"),
        pytest.param("Pedestrian", Role.PEDESTRIAN, id="any case"),
        pytest.param("  PEDESTRIAN ", Role.PEDESTRIAN, id="spaces around"),
        pytest.param("PASpersonWalking", Role.PEDESTRIAN, id="Penn-Fudan walking"),
        pytest.param("PASpersonStanding", Role.PEDESTRIAN, id="Penn-Fudan standing"),
        pytest.param("people", Role.IGNORE, id="Caltech group"),
        pytest.param("person?", Role.IGNORE, id="Caltech doubt"),
        pytest.param("Person_sitting", Role.IGNORE, id="KITTI sitting, underscore"),
        pytest.param("DontCare", Role.IGNORE, id="KITTI region"),
        pytest.param("sitting person", Role.IGNORE, id="CityPersons sitting"),
        pytest.param("ignore  region", Role.IGNORE, id="two spaces"),
        pytest.param("person-group-far-away", Role.IGNORE, id="ECP group, hyphens"),
        pytest.param("Rider", Role.IGNORE, id="rider"),
        pytest.param("car", Role.DROP, id="another thing"),
        pytest.param("mask", Role.DROP, id="a word of CrowdHuman alone"),
        pytest.param("", Role.DROP, id="empty"),
    ],
)
def test_defaults(name: str, role: Role) -> None:
    assert ClassMap().role_of(name) is role


def test_the_user_goes_before_the_reader_and_the_reader_before_the_defaults() -> None:
    own = {"rider": Role.PEDESTRIAN, "mask": Role.IGNORE}
    assert ClassMap().role_of("Rider", own) is Role.PEDESTRIAN
    assert class_map({"RIDER": "drop"}).role_of("rider", own) is Role.DROP
    assert class_map({"homme": "Pedestrian"}).role_of("Homme") is Role.PEDESTRIAN
    assert class_map({"homme": "pedestrian"}).role_of("mask", own) is Role.IGNORE


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        pytest.param({"person": "maybe"}, "expected one of pedestrian, ignore, drop", id="unknown role"),
        pytest.param({"person": None}, "expected one of pedestrian, ignore, drop", id="no role"),
        pytest.param({" _ ": "drop"}, "empty class name", id="empty name"),
    ],
)
def test_a_wrong_rule_is_one_sentence(rules: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        class_map(rules)


def test_rules_are_parsed_at_the_last_equals_sign() -> None:
    assert parse_rules(["rider=ignore", "a=b=drop", "rider=drop"]) == {"rider": "drop", "a=b": "drop"}
    assert parse_rules([]) == {}


@pytest.mark.parametrize("text", ["rider", "=ignore", ""])
def test_a_rule_without_both_sides_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="CLASS=pedestrian"):
        parse_rules([text])
