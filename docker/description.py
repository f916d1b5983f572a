"""What an engine says about an image that it has stored."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

_REVISION = "org.opencontainers.image.revision"
_COMMANDS = (
    ("buildah", "inspect", "--type", "image"),
    ("podman", "image", "inspect"),
    ("docker", "image", "inspect"),
)


@dataclass(frozen=True, slots=True)
class Description:
    """An image as it was built.

    Attributes:
        size_megabytes: of all layers, unpacked.
        revision: the commit on its label.
    """

    size_megabytes: int
    revision: str


def describe(image: str) -> Description:
    """Ask the engines one after the other; raises LookupError when none has the image."""
    for command in _COMMANDS:
        try:
            found = subprocess.run([*command, image], capture_output=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        return read(json.loads(found))
    raise LookupError(f"no engine here has the image {image}: build it with `make images`")


def read(found: Any) -> Description:
    """What buildah's or, in a list of one, Docker's and Podman's inspection says."""
    if isinstance(found, list):
        size, labels = found[0]["Size"], found[0]["Config"]["Labels"]
    else:
        layers = json.loads(found["Manifest"])["layers"]
        size, labels = sum(layer["size"] for layer in layers), found["Docker"]["config"]["Labels"]
    return Description(round(size / 1e6), (labels or {}).get(_REVISION, "unknown"))
