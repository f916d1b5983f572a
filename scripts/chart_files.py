"""Write what is generated inside the chart: copies of monitoring's files, which a chart cannot read elsewhere, and its README.

`python scripts/chart_files.py` writes; a test proves that what is committed equals its source.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "belisha"
_COPIED = (("monitoring/rules", "*.yaml", "files/rules"), ("monitoring/dashboards", "*.json", "files/dashboards"))


_TABLE_HEAD = ("| value | type | default | meaning |", "|---|---|---|---|")


def generated_files() -> dict[Path, str]:
    """Text of every generated file by its path."""
    files = {CHART / "README.md": readme()}
    for source, pattern, target in _COPIED:
        for path in sorted((ROOT / source).glob(pattern)):
            files[CHART / target / path.name] = path.read_text(encoding="utf-8")
    return files


def stale_files() -> list[Path]:
    """Copies whose source is gone."""
    kept = generated_files()
    folders = [CHART / target for _, _, target in _COPIED]
    return [path for folder in folders for path in sorted(folder.glob("*")) if path not in kept]


def readme() -> str:
    """The chart's README: every value with its type, default and meaning, as schema and values.yaml say them."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    lines = [
        "# Values of the chart",
        "",
        "Generated from `values.schema.json` and `values.yaml` by `scripts/chart_files.py`. How the chart is meant to be used",
        "stands in [docs/kubernetes.md](../../docs/kubernetes.md).",
        "",
        "    helm install belisha helm/belisha -n ml --set storage.uri=s3://bucket/belisha \\",
        "      --set storage.existingSecret=belisha-storage",
    ]
    for name, part in schema["properties"].items():
        lines += ["", f"## {name}", "", _meaning(part, schema), "", *_TABLE_HEAD]
        lines += [
            _row(path, node, default, schema) for path, node, default in _leaves(name, part, values.get(name), schema)
        ]
    return "\n".join([*lines, ""])


def _leaves(
    path: str, node: Mapping[str, Any], default: Any, schema: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Every value below a node that has no named values below it."""
    resolved = _resolved(node, schema)
    inner = resolved.get("properties")
    if not inner or _is_plain(node):
        yield path, node, default
        return
    for name, child in inner.items():
        yield from _leaves(f"{path}.{name}", child, (default or {}).get(name), schema)


def _is_plain(node: Mapping[str, Any]) -> bool:
    """Kubernetes' own structures stay one line."""
    return str(node.get("$ref", "")).rsplit("/", 1)[-1] in ("resources", "affinity")


def _row(path: str, node: Mapping[str, Any], default: Any, schema: Mapping[str, Any]) -> str:
    shown = json.dumps(default, ensure_ascii=False)
    return f"| `{path}` | {_type(node, schema)} | `{shown}` | {_meaning(node, schema)} |"


def _type(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    resolved = _resolved(node, schema)
    if "enum" in resolved:
        return ", ".join(f"`{item}`" for item in resolved["enum"])
    kinds = resolved.get("type", "object")
    text = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    low, high = resolved.get("minimum"), resolved.get("maximum")
    if low is None:
        return text
    return f"{text}, {low}…{high}" if high is not None else f"{text}, ≥ {low}"


def _meaning(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    text = str(node.get("description") or _resolved(node, schema).get("description", ""))
    return text.replace("|", "\\|")


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        node = schema["definitions"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def main() -> int:
    """Write everything; say what changed."""
    for path in stale_files():
        path.unlink()
        print(f"removed {path.relative_to(ROOT)}")
    for path, text in generated_files().items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
