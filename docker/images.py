"""Build Belisha's images: python3 docker/images.py [NAME…] (all by default), with whatever builds images on this machine.

BELISHA_IMAGE_PREFIX (default `belisha`) and BELISHA_IMAGE_TAG (default the version) name them, as they do for the pipeline.
Exit codes: 0 built, 1 a build failed, 2 no such image, or nothing here builds images.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("docker", "podman", "buildah")
APACHE, AGPL = "Apache-2.0", "Apache-2.0 AND AGPL-3.0-only"


@dataclass(frozen=True, slots=True)
class Image:
    """One image.

    Attributes:
        name: of the component whose locked requirements it gets.
        shell: whether it keeps a shell: KFP starts its steps through one.
        licences: SPDX expression of our code in it.
        target: stage of the Containerfile: a job, or a server with its health check.
    """

    name: str
    shell: bool = True
    licences: str = APACHE
    target: str = "job"


@dataclass(frozen=True, slots=True)
class Commit:
    """What an image is built from.

    Attributes:
        revision: the commit's digest.
        time: of the commit, RFC 3339; the same source gives the same labels whenever it is built.
    """

    revision: str = "unknown"
    time: str = "1970-01-01T00:00:00Z"


IMAGES = (
    Image("acquire"),
    Image("split"),
    Image("baseline"),
    Image("train", licences=AGPL),
    Image("validate"),
    Image("compare"),
    Image("release"),
    Image("serve", shell=False, target="serve"),
    Image("route", shell=False, target="route"),
    Image("drift"),
    Image("review"),
    Image("experiment"),
)


def version() -> str:
    """The version that pyproject.toml states."""
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("images: pyproject.toml states no version")
    return found[1]


def reference(image: Image) -> str:
    """Under which the image is stored."""
    prefix = os.environ.get("BELISHA_IMAGE_PREFIX") or "belisha"
    return f"{prefix}/{image.name}:{os.environ.get('BELISHA_IMAGE_TAG') or version()}"


def build_command(engine: str, image: Image, commit: Commit) -> list[str]:
    """What builds an image from the repository's root."""
    arguments = {
        "BASE": "with-shell" if image.shell else "without-shell",
        "COMPONENT": image.name,
        "VERSION": version(),
        "REVISION": commit.revision,
        "CREATED": commit.time,
        "LICENCES": image.licences,
        **{name: os.environ[name] for name in ("PYTHON_IMAGE",) if name in os.environ},
    }
    # HEALTHCHECK is Docker's; chroot needs neither privileges nor a daemon.
    command = {
        "docker": ["docker", "build"],
        "podman": ["podman", "build", "--format", "docker"],
        "buildah": [
            "buildah",
            "bud",
            "--format",
            "docker",
            "--layers",
            "--isolation",
            "chroot",
            "--ulimit",
            "nofile=1024:4096",
        ],
    }[engine]
    values = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
    return [
        *command,
        *values,
        "--target",
        image.target,
        "--file",
        "docker/Containerfile",
        "--tag",
        reference(image),
        ".",
    ]


def main() -> int:
    """Build the named images one after the other and say how long each took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(image.name for image in IMAGES))
    parser.add_argument("--engine", choices=ENGINES, help="the first of these that works here by default")
    parser.add_argument("--dry-run", action="store_true", help="print the commands instead of running them")
    options = parser.parse_args()
    unknown = set(options.names) - {image.name for image in IMAGES}
    if unknown:
        parser.error(f"no image is called {', '.join(sorted(unknown))}; known are {', '.join(i.name for i in IMAGES)}")
    engine = options.engine or next(filter(_is_usable, ENGINES), None)
    if engine is None:
        parser.error(f"nothing here builds images: install one of {', '.join(ENGINES)}, and start Docker's daemon")
    chosen = [image for image in IMAGES if not options.names or image.name in options.names]
    return build(engine, chosen, dry_run=options.dry_run)


def build(engine: str, images: list[Image], *, dry_run: bool) -> int:
    """Build images; 1 when one failed, after the others were tried."""
    failed, commit = [], _commit()
    for image in images:
        command = build_command(engine, image, commit)
        if dry_run:
            print(" ".join(command))
            continue
        print(f"images: building {reference(image)} with {engine} …", file=sys.stderr, flush=True)
        began = time.monotonic()
        if subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr).returncode:
            failed.append(image.name)
            continue
        print(f"images: {reference(image)} after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if failed:
        print(f"images: {', '.join(failed)} could not be built: read the messages above", file=sys.stderr)
    return int(bool(failed))


def _is_usable(engine: str) -> bool:
    """Whether the engine is installed and, where it needs a daemon, reaches it."""
    if shutil.which(engine) is None:
        return False
    return subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0


def _commit() -> Commit:
    command = ["git", "show", "--no-patch", "--format=%H %cI", "HEAD"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return Commit(*found.stdout.split()) if found.returncode == 0 else Commit()


if __name__ == "__main__":
    raise SystemExit(main())
