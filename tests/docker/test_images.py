"""The images' sources: what they would build, checked without building; docs/images.md tells of the real builds."""

from __future__ import annotations

import ast
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from belisha.components.shared.container_images import ROLES
from belisha.pipelines.compiling import compiled_path

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
TABLE = runpy.run_path(str(DOCKER / "images.py"))
IMAGES = {image.name: image for image in TABLE["IMAGES"]}
CONTAINERFILE = (DOCKER / "Containerfile").read_text()
# Names under which a distribution is imported where the two differ.
IMPORTED_AS = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "prometheus-client": "prometheus_client",
    "pyyaml": "yaml",
    "seldon-core": "seldon_core",
}
# Installed beside the locked requirements, or imported only where somebody has asked for it.
BESIDE = {"kfp", "mlflow", "openvino"}


def locked(name: str) -> Path:
    return ROOT / "requirements/serve.txt" if name == "serve" else DOCKER / "requirements" / f"{name}.txt"


def names_in(lock: Path) -> set[str]:
    return {line.split("==")[0] for line in lock.read_text().splitlines() if re.match(r"[a-z0-9]", line)}


def test_there_is_an_image_a_role() -> None:
    assert set(IMAGES) == set(ROLES)


def test_every_step_of_the_pipeline_has_an_image_with_a_shell() -> None:
    used = set(re.findall(r"image: belisha/([a-z]+):", compiled_path().read_text()))
    assert used
    assert all(IMAGES[name].shell for name in used)


@pytest.mark.parametrize("name", [path.parent.name for path in sorted((ROOT / "components").glob("*/component.py"))])
def test_what_kfp_starts_keeps_its_shell(name: str) -> None:
    assert name not in IMAGES or IMAGES[name].shell


@pytest.mark.parametrize("name", ROLES)
def test_requirements_are_locked_with_hashes_and_without_addresses(name: str) -> None:
    text = locked(name).read_text()
    assert names_in(locked(name))
    for requirement in re.split(r"\n(?=[a-z0-9])", text):
        if "==" in requirement:
            assert "--hash=sha256:" in requirement, requirement.splitlines()[0]
    assert "://" not in re.sub(r"#.*", "", text)


@pytest.mark.parametrize("name", ROLES)
def test_only_training_gets_ultralytics(name: str) -> None:
    assert ("ultralytics" in names_in(locked(name))) == (name == "train")
    assert ("AGPL" in IMAGES[name].licences) == (name == "train")


def third_party(path: Path) -> Iterator[str]:
    """Top-level names of what a file imports, from anywhere but itself and the standard library."""
    for node in ast.walk(ast.parse(path.read_text())):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules = [node.module]
        for module in modules:
            top = module.split(".")[0]
            if top not in sys.stdlib_module_names and top != "belisha":
                yield top


@pytest.mark.parametrize("name", [name for name in ROLES if name not in ("serve", "route")])
def test_an_image_has_what_its_component_imports(name: str) -> None:
    installed = {IMPORTED_AS.get(one, one).replace("-", "_") for one in names_in(locked(name))} | BESIDE
    wanted = {top for path in (ROOT / "components" / name).rglob("*.py") for top in third_party(path)}
    assert wanted <= installed


def test_images_agree_with_the_environment_that_is_tested() -> None:
    tested = versions(ROOT / "requirements/local.txt")
    for name in set(ROLES) - {"serve", "route"}:
        for package, version in versions(locked(name)).items():
            assert tested.get(package, version) == version, f"{name}: {package}"
    served = versions(ROOT / "requirements/serve.txt")
    for package, version in versions(locked("route")).items():
        assert served.get(package, version) == version, f"route: {package}"


def versions(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==([^ ;\\]+)", lock.read_text(), re.MULTILINE))


def stages() -> dict[str, str]:
    """Text of each stage of the Containerfile, by its name."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", CONTAINERFILE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_containers_run_as_a_number() -> None:
    found = stages()
    assert re.findall(r"^USER (.+)$", CONTAINERFILE, re.MULTILINE) == ["8888:8888"]
    assert re.search(r"^USER 8888:8888$", found["image"], re.MULTILINE)
    for target in {image.target for image in IMAGES.values()}:
        assert f"FROM image AS {target}\n" in CONTAINERFILE


@pytest.mark.parametrize("label", ["title", "description", "version", "revision", "created", "licenses", "base.name"])
def test_images_are_labelled(label: str) -> None:
    assert f'org.opencontainers.image.{label}="' in stages()["image"]


@pytest.mark.parametrize(("name", "path"), [("serve", "/health/status"), ("route", "/health/ping")])
def test_servers_have_a_health_check_that_is_no_shell_command(name: str, path: str) -> None:
    [check] = re.findall(r"^HEALTHCHECK .*CMD (.+)$", stages()[IMAGES[name].target], re.MULTILINE)
    assert json.loads(check) == ["python", "/opt/belisha/health.py", path]


def test_a_job_has_no_health_check() -> None:
    assert "HEALTHCHECK" not in stages()["job"] + stages()["image"]
    assert {name for name, image in IMAGES.items() if image.target == "job"} == set(ROLES) - {"serve", "route"}


def test_what_starts_a_server_is_what_the_chart_starts() -> None:
    chart = (ROOT / "helm/belisha/templates/_release.tpl").read_text()
    for name in ("serve", "route"):
        [command] = re.findall(r"^CMD (\[.+)$", stages()[name], re.MULTILINE)
        assert f"command: [{', '.join(json.loads(command))}]" in chart


def test_the_source_comes_after_the_requirements() -> None:
    image = stages()["image"]
    assert image.index("--from=requirements") < image.index("--from=package") < image.index("ARG REVISION")
    assert "COPY components" not in stages()["requirements"]


def test_every_installation_is_of_hashed_requirements_or_of_our_own_wheel() -> None:
    installs = re.findall(r"(?:pip install|uv pip sync) [^\n&]*", CONTAINERFILE)
    assert len(installs) == 3
    assert all("--require-hashes" in one or ("--no-deps" in one and "/build/wheel/" in one) for one in installs)
    assert names_in(DOCKER / "requirements/kfp.txt") == {"kfp"}
    assert versions(DOCKER / "requirements/kfp.txt").items() <= versions(ROOT / "requirements/local.txt").items()


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
@pytest.mark.parametrize("name", ["train", "serve"])
def test_the_command_builds_that_image(engine: str, name: str) -> None:
    commit = TABLE["Commit"]("abc", "2026-01-02T03:04:05+00:00")
    command = TABLE["build_command"](engine, IMAGES[name], commit)
    assert command[0] == engine
    assert {f"COMPONENT={name}", "REVISION=abc", "CREATED=2026-01-02T03:04:05+00:00"} <= set(command)
    assert f"BASE={'with-shell' if name == 'train' else 'without-shell'}" in command
    assert command[command.index("--target") + 1] == ("job" if name == "train" else "serve")
    assert f"belisha/{name}:" in command[command.index("--tag") + 1]


def test_an_unknown_image_is_refused() -> None:
    found = subprocess.run([sys.executable, DOCKER / "images.py", "nonsense"], capture_output=True, text=True)
    assert found.returncode == 2
    assert "no image is called nonsense; known are acquire" in found.stderr


def test_the_context_holds_no_data_and_no_secret() -> None:
    ignored = (ROOT / ".containerignore").read_text()
    assert ignored == (ROOT / ".dockerignore").read_text()
    assert "\n*\n" in ignored


def test_the_log_tells_of_every_image_and_step_and_of_no_failure() -> None:
    log = (ROOT / "docs/images.md").read_text()
    sizes, runs = log.split("## Each of them run")
    assert re.findall(r"^\| ([a-z]+) \| \d{3,4} \|", sizes, re.MULTILINE) == list(IMAGES)
    rows = [line for line in runs.splitlines() if re.match(r"\| [a-z]+ \|.* \d", line)]
    assert {row.split("|")[1].strip() for row in rows} == set(IMAGES)
    assert [row for row in rows if not row.endswith("| yes |")] == []
    steps = set(re.findall(r"image: belisha/([a-z]+):", compiled_path().read_text()))
    assert {f"pipeline step {step}" for step in steps} <= {row.split("|")[2].strip() for row in rows}
