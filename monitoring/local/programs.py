"""The three programs that the stack is made of, found on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from belisha.components.shared.errors import InputError

# Debian calls two of them by longer names than their makers do.
_NAMES = {
    "prometheus": ("prometheus",),
    "pushgateway": ("prometheus-pushgateway", "pushgateway"),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
}


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of the programs."""

    prometheus: str
    pushgateway: str
    alertmanager: str


def find_programs(which: Callable[[str], str | None] = shutil.which) -> Programs:
    """Where they are; raises InputError that names what is missing and how to get it."""
    found = {program: next((path for name in names if (path := which(name))), "") for program, names in _NAMES.items()}
    missing = [_NAMES[program][0] for program, path in found.items() if not path]
    if missing:
        raise InputError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            f"run `apt-get install {' '.join(missing)}`, or put them on the PATH"
        )
    return Programs(**found)
