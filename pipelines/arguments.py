"""From what people type to the pipeline's parameters, checked against the compiled pipeline itself."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from belisha.components.shared.errors import InputError
from belisha.components.shared.storage import local_path
from belisha.pipelines.compiling import compiled_path


def absolute_source(source: str) -> str:
    """A plain local path made absolute, for the steps run elsewhere; a URI as it is."""
    return source if "://" in source else str(local_path(source))


def pipeline_arguments(given: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Merge named values (None means: the pipeline's default) and `NAME=VALUE` texts into the pipeline's arguments.

    Raises:
        InputError: a name is no parameter of the pipeline, or a value is not of its type.
    """
    parameters = _parameters()
    arguments = {name: value for name, value in given.items() if value is not None}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting!r} is not NAME=VALUE: write it like that")
        if name not in parameters:
            raise InputError(f"--set {name} is no parameter of the pipeline: {_hint(name, parameters)}")
        arguments[name] = _typed(name, text, parameters[name]["parameterType"])
    return arguments


def refuse_unknown_names(names: Iterable[str]) -> None:
    """Raise InputError when a name is no parameter of the pipeline."""
    parameters = _parameters()
    for name in names:
        if name not in parameters:
            raise InputError(f"{name} is no parameter of the pipeline: {_hint(name, parameters)}")


def _hint(name: str, parameters: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(parameters), n=3)
    return f"did you mean {', '.join(near)}?" if near else f"known are {', '.join(sorted(parameters))}"


def _parameters() -> dict[str, Any]:
    pipeline = next(yaml.safe_load_all(compiled_path().read_text()))
    return dict(pipeline["root"]["inputDefinitions"]["parameters"])


def _typed(name: str, text: str, kind: str) -> Any:
    """Parse a text as a KFP parameter type."""
    try:
        match kind:
            case "NUMBER_INTEGER":
                return int(text)
            case "NUMBER_DOUBLE":
                return float(text)
            case "BOOLEAN":
                return {"true": True, "false": False}[text.lower()]
            case "LIST" | "STRUCT":
                return _json_of(text, list if kind == "LIST" else dict)
    except (ValueError, KeyError):
        raise InputError(f"--set {name}={text} is not a {kind.lower().replace('_', ' ')}: give one") from None
    return text


def _json_of(text: str, kind: type) -> Any:
    value = json.loads(text)
    if not isinstance(value, kind):
        raise ValueError(text)
    return value
