"""Start a container the way a cluster would: the image's own user, a read-only root, /tmp and one folder."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ENGINES = ("docker", "podman", "ctr")


@dataclass(frozen=True, slots=True)
class Start:
    """What a container gets.

    Attributes:
        image: reference.
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
    variables = [part for name, value in start.environment.items() for part in ("--env", f"{name}={value}")]
    folder = str(start.folder)
    if engine == "ctr":
        bind = f"type=bind,src={folder},dst={folder},options=rbind:rw"
        scratch = "type=tmpfs,src=tmpfs,dst=/tmp,options=nosuid:nodev:mode=1777"
        network = ["--net-host"] if start.network else []
        options = ["--read-only", "--mount", bind, "--mount", scratch, *network, *variables]
        return ["ctr", "run", "--rm", *options, _in_containerd(start.image), start.name, *start.command]
    network = ["--network", "host" if start.network else "none"]
    options = ["--read-only", "--tmpfs", "/tmp:mode=1777", "--volume", f"{folder}:{folder}", *network, *variables]
    return [engine, "run", "--rm", "--name", start.name, *options, start.image, *start.command]


def end_command(engine: str, name: str) -> list[str]:
    """The command line that asks a container to stop."""
    return ["ctr", "task", "kill", "--signal", "SIGTERM", name] if engine == "ctr" else [engine, "stop", name]


def inside_command(engine: str, name: str, command: Sequence[str]) -> list[str]:
    """The command line that runs one more program in a running container."""
    if engine == "ctr":
        return ["ctr", "task", "exec", "--exec-id", uuid.uuid4().hex[:8], name, *command]
    return [engine, "exec", name, *command]


def hand_over(engine: str, image: str, folder: Path) -> None:
    """Let containerd have an image that buildah has built; the other engines see their own."""
    if engine != "ctr":
        return
    archive = folder / f"image-{uuid.uuid4().hex[:8]}.tar"
    try:
        _run(
            [
                "buildah",
                "push",
                "--quiet",
                "--disable-compression",
                image,
                f"oci-archive:{archive}:{_in_containerd(image)}",
            ]
        )
        _run(["ctr", "image", "import", str(archive)])
    finally:
        archive.unlink(missing_ok=True)


def usable_engine() -> str | None:
    """The first engine that works here."""
    for engine in ENGINES:
        check = ["ctr", "version"] if engine == "ctr" else [engine, "info"]
        if shutil.which(engine) and subprocess.run(check, capture_output=True, check=False).returncode == 0:
            return engine
    return None


def _in_containerd(image: str) -> str:
    """Containerd wants the full name, which the others complete by themselves."""
    return image if "." in image.split("/")[0] else f"docker.io/{image}"


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)
