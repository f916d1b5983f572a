"""Who may import whom: read from the source of every module, and from a real process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "ultralytics", "kfp", "mlflow", "matplotlib", "onnxruntime", "hotcoco", "kubernetes"}
TRAIN_ONLY = {"torch", "ultralytics", "onnxslim"}


def sources() -> list[Path]:
    return sorted(
        path for top in ("belisha", "components", "monitoring", "pipelines") for path in (ROOT / top).rglob("*.py")
    )


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] == "belisha" else ("belisha", *parts))


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def at_top(path: Path) -> set[str]:
    """What a module imports when it is loaded: everything outside functions and `if TYPE_CHECKING`."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Try | ast.With | ast.ClassDef):
            names |= imported(node)
    return names


def layer(module: str) -> str:
    parts = module.split(".")
    if parts[:2] == ["belisha", "components"]:
        return ".".join(parts[:3])
    return ".".join(parts[:2]) if len(parts) > 1 else "belisha"


# `belisha.serving` joins components into running servers as `belisha.pipelines` joins them into runs.
ALLOWED = {
    "belisha.cli": (
        *("belisha.cli", "belisha.monitoring", "belisha.pipelines", "belisha.retraining", "belisha.serving"),
        "belisha.demonstration",
        "belisha.components",
    ),
    "belisha.demonstration": (
        "belisha.demonstration",
        "belisha.retraining",
        "belisha.serving",
        "belisha.pipelines",
        "belisha.components",
    ),
    "belisha.kubectl": ("belisha.kubectl", "belisha.cli", "belisha.components"),
    "belisha.pipelines": ("belisha.pipelines", "belisha.components"),
    "belisha.monitoring": ("belisha.monitoring", "belisha.serving", "belisha.components"),
    "belisha.retraining": ("belisha.retraining", "belisha.pipelines", "belisha.components"),
    "belisha.serving": ("belisha.serving", "belisha.pipelines", "belisha.components"),
}


def broken_rules(module: str, names: set[str]) -> list[str]:
    """Imports of our own that point the wrong way."""
    own, found = layer(module), []
    for name in sorted(names):
        target = layer(name)
        if not name.startswith("belisha.") or name in ("belisha.__version__",):
            continue
        if own.startswith("belisha.components."):
            right = target in (own, "belisha.components.shared", "belisha.components")
        else:
            right = target.startswith(ALLOWED.get(own, ("belisha",)))
        if not right:
            found.append(name)
    return found


def test_there_are_sources() -> None:
    assert len(sources()) > 30


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_module_keeps_the_rules(path: Path) -> None:
    module, names = module_of(path), imported(ast.parse(path.read_text()))
    assert not broken_rules(module, names), "imports point one way: cli, pipelines, components, shared"
    roots = {name.split(".")[0] for name in names}
    if layer(module) != "belisha.components.train":
        assert not roots & TRAIN_ONLY, "only components/train may import these"
    if module not in ("belisha.components.train.environment", "belisha.components.train.yolo"):
        assert "ultralytics" not in roots, "components/train/yolo.py is the one door to it"
    if module.startswith("belisha.components.") and path.name != "component.py":
        assert "kfp" not in roots, "a component's logic never imports kfp"


def loaded_by_the_command_line() -> list[Path]:
    """Modules that are loaded with `belisha.cli.main` and its verbs: the closure of their top-level imports."""
    by_module = {module_of(path): path for path in sources()}
    programs = ("belisha.cli", "belisha.kubectl.main", "belisha.kubectl.verbs")
    waiting = [module for module in by_module if module.startswith(programs)]
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name in at_top(by_module[module]):
            parents = [".".join(name.split(".")[:length]) for length in range(1, name.count(".") + 2)]
            waiting += [parent for parent in parents if parent in by_module]
    return [by_module[module] for module in sorted(seen)]


@pytest.mark.parametrize("path", loaded_by_the_command_line(), ids=lambda path: str(path.relative_to(ROOT)))
def test_command_line_loads_nothing_heavy(path: Path) -> None:
    roots = {name.split(".")[0] for name in at_top(path)}
    assert not roots & HEAVY, "import it inside the command that needs it"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        (
            "import belisha.components.shared.detector, belisha.components.shared.golden, onnxruntime",
            ("torch", "ultralytics", "kfp"),
        ),
        ("import belisha.cli.main as m; m._register_verbs()", tuple(HEAVY)),
    ],
    ids=["serving side", "command line"],
)
def test_real_process_stays_light(statement: str, absent: tuple[str, ...]) -> None:
    code = f"import sys; {statement}; print(*sorted(set(sys.modules) & set({absent!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("belisha.components.validate.step", "belisha.components.train.train"),
        ("belisha.components.shared.files", "belisha.components.acquire.labels"),
        ("belisha.components.shared.files", "belisha.cli.output"),
        ("belisha.pipelines.training", "belisha.cli.output"),
        ("belisha.serving.serve", "belisha.cli.output"),
    ],
)
def test_the_rule_itself_finds_wrong_imports(module: str, name: str) -> None:
    assert broken_rules(module, {name}) == [name]
