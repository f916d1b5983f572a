"""What the cluster would take and get wrong is refused before it gets there, by the key's name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from helm_python.errors import HelmError

from tests.helm.rendering import CHART, documents
from tests.helm.value_sets import HOSTILE


@pytest.mark.parametrize(("values", "key"), HOSTILE.values(), ids=HOSTILE.keys())
def test_refused_by_the_keys_name(values: dict[str, Any], key: str) -> None:
    with pytest.raises(HelmError) as refusal:
        documents(values)
    assert key in str(refusal.value)


def test_release_name_that_leaves_no_room_for_seldons_names() -> None:
    with pytest.raises(HelmError, match="fullnameOverride"):
        documents({}, name="a-release-with-quite-a-long-name")


def schema() -> dict[str, Any]:
    return json.loads((CHART / "values.schema.json").read_text())


def resolved(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    return root["definitions"][node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node


def nodes(
    node: dict[str, Any], root: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    inner = resolved(node, root)
    yield path, inner
    for name, child in inner.get("properties", {}).items():
        yield from nodes(child, root, (*path, name))


def at(path: tuple[str, ...], value: object) -> dict[str, Any]:
    nested: Any = value
    for name in reversed(path):
        nested = {name: nested}
    return nested


NODES = list(nodes(schema(), schema()))
CLOSED = [path for path, node in NODES if node.get("additionalProperties") is False]
NUMBERS = [
    (path, node)
    for path, node in NODES
    if node.get("type") in ("integer", "number") or "integer" in node.get("type", [])
]
NUMBERS = [(path, node) for path, node in NUMBERS if "minimum" in node and "string" not in node["type"]]
CHOICES = [path for path, node in NODES if "enum" in node]


def test_there_is_much_to_close() -> None:
    assert (len(CLOSED), len(NUMBERS), len(CHOICES)) >= (40, 60, 7)


@pytest.mark.parametrize("path", CLOSED, ids=".".join)
def test_a_typing_mistake_is_refused_everywhere(path: tuple[str, ...]) -> None:
    with pytest.raises(HelmError, match="unheardOf"):
        documents(at((*path, "unheardOf"), 1))


@pytest.mark.parametrize(("path", "node"), NUMBERS, ids=[".".join(path) for path, _ in NUMBERS])
def test_numbers_have_bounds(path: tuple[str, ...], node: dict[str, Any]) -> None:
    for value in (node["minimum"] - 1, *([node["maximum"] + 1] if "maximum" in node else []), "many", True):
        with pytest.raises(HelmError) as refusal:
            documents(at(path, value))
        assert f"/{'/'.join(path)}" in str(refusal.value)


@pytest.mark.parametrize("path", CHOICES, ids=".".join)
def test_choices_are_closed(path: tuple[str, ...]) -> None:
    with pytest.raises(HelmError) as refusal:
        documents(at(path, "whatever"))
    assert f"/{'/'.join(path)}" in str(refusal.value)
