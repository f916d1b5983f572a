"""Start a container the way a cluster would: the image's own user, a read-only root, /tmp and one folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The last where no daemon runs: the very program with which the others start a container.
ENGINES = ("docker", "podman", "runc")
# Buildah's container and image of each mounted file system.
_MOUNTED: dict[str, tuple[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Start:
    """What a container gets.

    Attributes:
        image: what the engine calls it, from `hand_over`.
        command: program and arguments.
        folder: mounted under its own path, writable.
        environment: variables besides the image's.
        network: share the host's network; none at all otherwise.
        name: of the container.
    """

    image: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    name: str = field(default_factory=lambda: f"belisha-try-{uuid.uuid4().hex[:8]}")


def command_of(engine: str, start: Start) -> list[str]:
    """The command line that runs the container in the foreground and removes it afterwards."""
    if engine == "runc":
        return ["runc", "run", "--bundle", str(_bundle(start)), start.name]
    variables = [part for name, value in start.environment.items() for part in ("--env", f"{name}={value}")]
    folder = str(start.folder)
    network = ["--network", "host" if start.network else "none"]
    options = ["--read-only", "--tmpfs", "/tmp:mode=1777", "--volume", f"{folder}:{folder}", *network, *variables]
    return [engine, "run", "--rm", "--name", start.name, *options, start.image, *start.command]


def end_command(engine: str, name: str) -> list[str]:
    """The command line that asks a container to stop."""
    return ["runc", "kill", name, "SIGTERM"] if engine == "runc" else [engine, "stop", name]


def inside_command(engine: str, name: str, command: Sequence[str]) -> list[str]:
    """The command line that runs one more program in a running container."""
    return [engine, "exec", name, *command]


def hand_over(engine: str, image: str) -> str:
    """Let the engine have an image and return what it calls it.

    runc gets the file system that buildah has of it, mounted, and the user, folder and variables of its configuration. The
    other engines see their own images.
    """
    if engine != "runc":
        return image
    container = _output(["buildah", "from", "--pull-never", image])
    root = _output(["buildah", "mount", container])
    _MOUNTED[root] = (container, image)
    return root


def take_back() -> None:
    """Undo what `hand_over` has mounted."""
    for container, _ in _MOUNTED.values():
        subprocess.run(["buildah", "rm", container], check=False, capture_output=True)
    _MOUNTED.clear()


def usable_engine() -> str | None:
    """The first engine that works here."""
    for engine in ENGINES:
        check = ["buildah", "info"] if engine == "runc" else [engine, "info"]
        if shutil.which(engine) and subprocess.run(check, capture_output=True, check=False).returncode == 0:
            return engine
    return None


def _bundle(start: Start) -> Path:
    """A folder that says to runc what a cluster's restricted pod would get: no privilege, no way to one, nothing to write."""
    bundle = start.folder / "bundles" / start.name
    bundle.mkdir(parents=True)
    _run(["runc", "spec", "--bundle", str(bundle)])
    path = bundle / "config.json"
    path.write_text(json.dumps(specified(json.loads(path.read_text()), start, _config(start.image))))
    return bundle


def specified(spec: dict[str, Any], start: Start, config: Mapping[str, Any]) -> dict[str, Any]:
    """A runtime specification as `runc spec` writes it, filled in.

    Args:
        spec: the default one; changed in place.
        start: what the container gets.
        config: the image's configuration: User, WorkingDir and Env.
    """
    user, group = config["User"].split(":")
    spec["root"] = {"path": start.image, "readonly": True}
    spec["process"] |= {
        "terminal": False,
        "user": {"uid": int(user), "gid": int(group)},
        "args": list(start.command),
        "env": [*config["Env"], *(f"{name}={value}" for name, value in start.environment.items())],
        "cwd": config["WorkingDir"] or "/",
        "capabilities": {},
        "noNewPrivileges": True,
    }
    folder = str(start.folder)
    scratch = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}
    spec["mounts"] += [scratch, {"destination": folder, "type": "bind", "source": folder, "options": ["rbind", "rw"]}]
    if start.network:
        spec["linux"]["namespaces"] = [one for one in spec["linux"]["namespaces"] if one["type"] != "network"]
    return spec


def _config(root: str) -> dict[str, Any]:
    """The configuration of the image that is mounted there."""
    inspected = json.loads(_output(["buildah", "inspect", "--type", "image", _MOUNTED[root][1]]))
    config: dict[str, Any] = inspected["Docker"]["config"]
    return config


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
