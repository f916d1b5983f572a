"""The whole failure vocabulary of the product: every message is one sentence that says what, to which object, what to do.

Exit codes are documented API: 0 done, 1 a negative verdict, 2 bad input or usage, 3 inconclusive, 70 a step failed for
good, 75 a passing fault that is worth another try.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_NEGATIVE = 1
EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3
EXIT_FAILED = 70
EXIT_RETRY = 75


class BelishaError(Exception):
    """Base of all errors a user may see; `str()` of it is the sentence that is printed."""

    exit_code: int = EXIT_FAILED


class InputError(BelishaError):
    """What the user gave cannot be used: a file, an option, a URI. Nothing was written."""

    exit_code = EXIT_USAGE


class ContractError(InputError):
    """A file between components is missing, damaged, or of a version this code does not know."""


class DigestError(ContractError):
    """Bytes do not have the digest under which they are recorded."""


class StorageError(BelishaError):
    """The object store could not be reached or refused; trying again may help."""

    exit_code = EXIT_RETRY


class NotFoundError(StorageError):
    """No object has that key in that store."""

    exit_code = EXIT_USAGE


class AlreadyExistsError(StorageError):
    """A create-only write met an object of that key: somebody else was first."""


class ClusterError(BelishaError):
    """The Kubernetes API server could not be reached or is not able now; trying again may help."""

    exit_code = EXIT_RETRY


class ConflictError(BelishaError):
    """Somebody else changed what a decision stood on; nothing was written, and looking again may well decide anew."""

    exit_code = EXIT_RETRY


class NoDataError(BelishaError):
    """There is nothing to compute on; which is never a pass."""

    exit_code = EXIT_INCONCLUSIVE


class TrainingError(BelishaError):
    """The detector did not learn, or its export does not give the boxes that training saw."""
