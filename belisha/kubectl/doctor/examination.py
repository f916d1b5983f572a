"""Goes through the chain, check by check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from belisha.components.shared.errors import BelishaError, InputError
from belisha.components.shared.kube_api import ForbiddenError
from belisha.components.shared.verdict import Verdict
from belisha.kubectl.doctor import cluster, loop, storage, watching  # noqa: F401 - they register their checks
from belisha.kubectl.doctor.checks import Finding, Patient, registered


def examine(patient: Patient, *, only: Sequence[str] = ()) -> Iterator[Finding]:
    """Findings of every check, or of those named; what a check may not see or cannot reach is a finding too.

    Raises:
        InputError: there is no check of such a name.
    """
    checks = registered()
    if unknown := [name for name in only if name not in checks]:
        raise InputError(f"there is no check {unknown[0]!r}: give one of {', '.join(checks)}")
    for name, function in checks.items():
        if only and name not in only:
            continue
        try:
            yield from function(patient)
        except ForbiddenError as error:
            yield Finding(name, Verdict.INCONCLUSIVE, str(error), "ask somebody who may look")
        except BelishaError as error:
            yield Finding(name, Verdict.ERROR, str(error), "repair the connection and ask again")
