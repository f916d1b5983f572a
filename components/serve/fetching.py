"""Put one model version where a predictor loads it: what a predictor's pod does before it starts.

`python -m belisha.components.serve.fetching --version v7 --into /models/model` copies the version's model folder from the
registry at BELISHA_STORAGE_URI, verifies every file, and lets `/models/model` point to it. Doing it again changes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from belisha.components.shared.errors import BelishaError, InputError
from belisha.components.shared.registry import fetch_model

_STORAGE_URI = "BELISHA_STORAGE_URI"


def fetch_into(storage_uri: str, version: str, into: Path) -> Path:
    """A verified copy of a version beside `into`, and `into` as a link to it.

    Args:
        storage_uri: where the registry is.
        version: `v1`, ….
        into: path of the link; its folder takes the copy.

    Returns:
        The folder that the link names.

    Raises:
        InputError: there is no such version, or something else than a link is at `into`.
        DigestError, ContractError, StorageError: the stored files are damaged, or cannot be read now.
    """
    if into.exists() and not into.is_symlink():
        raise InputError(f"{into} is no link and would be replaced: give a path that is free")
    folder = fetch_model(storage_uri, version, into.parent)
    aside = into.with_name(f".{into.name}.new")
    aside.unlink(missing_ok=True)
    aside.symlink_to(folder.name)
    aside.replace(into)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch, say what was fetched, and return an exit code of `belisha.components.shared.errors`."""
    parser = argparse.ArgumentParser(prog="belisha.components.serve.fetching", description=__doc__)
    parser.add_argument("--version", required=True)
    parser.add_argument("--into", required=True, type=Path)
    parser.add_argument("--storage", default=os.environ.get(_STORAGE_URI, ""))
    options = parser.parse_args(arguments)
    if not options.storage:
        parser.error(f"expected --storage, or {_STORAGE_URI} in the environment")
    try:
        folder = fetch_into(options.storage, options.version, options.into)
    except BelishaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"model {options.version} is at {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
