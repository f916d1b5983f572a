"""What a tried image gets: as little as a pod under the restricted policy."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

MODULE = runpy.run_path(str(Path(__file__).parents[2] / "docker/containers.py"))
CONFIG = {"User": "8888:8888", "WorkingDir": "/tmp", "Env": ["PATH=/opt/belisha/bin", "HOME=/tmp"]}


def start(*, network: bool = False) -> Any:
    return MODULE["Start"]("/rootfs", ["belisha", "--help"], Path("/data"), {"HOME": "/data"}, network, "one")


def default_specification() -> dict[str, Any]:
    """The parts of what `runc spec` writes that are changed."""
    return {
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "capabilities": {"bounding": ["CAP_KILL"]},
        },
        "root": {"path": "rootfs", "readonly": False},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "network"}]},
    }


def test_runc_gives_no_privilege_and_nothing_to_write_but_tmp_and_the_folder() -> None:
    spec = MODULE["specified"](default_specification(), start(), CONFIG)
    assert spec["root"] == {"path": "/rootfs", "readonly": True}
    assert spec["process"]["user"] == {"uid": 8888, "gid": 8888}
    assert spec["process"]["capabilities"] == {}
    assert spec["process"]["noNewPrivileges"] is True
    assert [mount["destination"] for mount in spec["mounts"]] == ["/proc", "/tmp", "/data"]


def test_a_variable_that_is_asked_for_comes_after_the_image_s_own() -> None:
    spec = MODULE["specified"](default_specification(), start(), CONFIG)
    assert spec["process"]["env"] == ["PATH=/opt/belisha/bin", "HOME=/tmp", "HOME=/data"]


@pytest.mark.parametrize("network", [False, True])
def test_only_a_server_shares_the_host_s_network(network: bool) -> None:
    spec = MODULE["specified"](default_specification(), start(network=network), CONFIG)
    assert ({"type": "network"} in spec["linux"]["namespaces"]) is not network


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_an_engine_with_a_daemon_gets_the_same_as_options(engine: str) -> None:
    command = MODULE["command_of"](engine, start())
    assert command[:3] == [engine, "run", "--rm"]
    assert "--read-only" in command
    assert command[command.index("--network") + 1] == "none"
    assert command[-3:] == ["/rootfs", "belisha", "--help"]


def test_a_container_is_asked_to_stop_and_looked_into_by_its_name() -> None:
    assert MODULE["end_command"]("runc", "one") == ["runc", "kill", "one", "SIGTERM"]
    assert MODULE["end_command"]("docker", "one") == ["docker", "stop", "one"]
    assert MODULE["inside_command"]("runc", "one", ["python"]) == ["runc", "exec", "one", "python"]


def test_an_image_without_a_numeric_user_is_not_run() -> None:
    with pytest.raises(ValueError, match="root"):
        MODULE["specified"](default_specification(), start(), {**CONFIG, "User": "root:root"})
