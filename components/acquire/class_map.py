"""Which class of a source counts as a pedestrian, which becomes an ignore region, and which is dropped.

A name is looked up in the user's table, then in the reader's own (a format may use a word in its own sense), then in
`DEFAULT_ROLES`; a name that stands nowhere is dropped and counted. Names are compared without regard to case, and `_`,
`-` and spaces are the same.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from belisha.components.shared.errors import InputError


class Role(enum.StrEnum):
    """What becomes of the boxes of a class."""

    PEDESTRIAN = "pedestrian"
    IGNORE = "ignore"
    DROP = "drop"


_PEDESTRIANS = (
    *("pedestrian", "pedestrians", "person", "persons", "human", "ped", "walker", "walking person", "standing person"),
    *("man", "woman", "child", "boy", "girl", "adult", "partially visible person", "person walking", "person standing"),
    *("paspersonwalking", "paspersonstanding", "pasperson", "uprightperson"),
)
# People whom a pedestrian detector may report and need not: riders, seated and grouped people, and regions said to be so.
_IGNORED = (
    *("rider", "riders", "cyclist", "bicyclist", "motorcyclist", "motorbike rider", "person on vehicle", "bike rider"),
    *("sitting person", "person sitting", "sitting lying", "person lying", "behind glass", "static person"),
    *("people", "person?", "person group", "people group", "group of people", "crowd", "person crowd", "other person"),
    *("person (other)", "person (sitting)", "person group far away", "rider group far away"),
    *("ignore", "ignored", "ignore region", "ignored region", "ignored regions", "dontcare", "don't care"),
    *("distractor", "reflection"),
)


def normalised(name: str) -> str:
    """The form in which class names are compared: case folded, `_`, `-` and runs of spaces as one space."""
    return re.sub(r"[\s_\-]+", " ", name).strip().casefold()


DEFAULT_ROLES: Mapping[str, Role] = {
    **{normalised(name): Role.PEDESTRIAN for name in _PEDESTRIANS},
    **{normalised(name): Role.IGNORE for name in _IGNORED},
}


@dataclass(frozen=True, slots=True)
class ClassMap:
    """The user's own rules on top of the defaults.

    Attributes:
        rules: normalised class name to role; empty for the defaults alone. Build it with `class_map`.
    """

    rules: Mapping[str, Role] = field(default_factory=dict)

    def role_of(self, name: str, own_roles: Mapping[str, Role] | None = None) -> Role:
        """Role of a source's class; `own_roles` is the reader's table with normalised names."""
        key = normalised(name)
        for table in (self.rules, own_roles or {}, DEFAULT_ROLES):
            if key in table:
                return table[key]
        return Role.DROP


def parse_rules(texts: Sequence[str]) -> dict[str, str]:
    """`CLASS=ROLE` texts as a table; the last `=` counts, for class names may hold one. Raises InputError on other texts."""
    rules: dict[str, str] = {}
    for text in texts:
        name, equals, role = text.rpartition("=")
        if not equals or not name:
            raise InputError(f"--map {text!r} is no rule: expected CLASS=pedestrian, CLASS=ignore or CLASS=drop")
        rules[name] = role
    return rules


def class_map(rules: Mapping[str, str]) -> ClassMap:
    """Build a class map from `{"source class": "pedestrian" | "ignore" | "drop"}`.

    Raises:
        InputError: a role is none of the three, or a name is empty.
    """
    return ClassMap({_checked_name(name): _checked_role(name, role) for name, role in rules.items()})


def _checked_name(name: object) -> str:
    key = normalised(str(name))
    if not key:
        raise InputError("the class map has an empty class name: expected e.g. person=pedestrian")
    return key


def _checked_role(name: object, role: object) -> Role:
    try:
        return Role(str(role).strip().casefold())
    except ValueError:
        known = ", ".join(Role)
        raise InputError(f"the class map gives {name!s} the role {role!r}: expected one of {known}") from None
