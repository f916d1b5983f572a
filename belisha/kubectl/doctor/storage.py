"""Checks of the storage: the secret that opens it, a round trip, and the ledger."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from belisha.components.shared.registry import open_registry
from belisha.components.shared.storage import open_store
from belisha.kubectl.doctor.checks import Finding, Patient, check, failed, passed, unsure
from belisha.kubectl.place import secret_keys

# One object for ever: a store has no end of keys, but nobody should have to tidy up after a doctor.
_KEY = "doctor/round-trip.txt"


@check("secrets")
def secrets(patient: Patient) -> Iterator[Finding]:
    """Secrets that the pods name are there, with the keys they name."""
    wanted = secret_keys(patient.template)
    for secret in sorted({name for name, _, _ in wanted.values()}):
        found = patient.api.get(patient.resource("", "v1", "secrets"), secret)
        if found is None:
            advice = f"create it in namespace {patient.place.namespace}: storage.existingSecret names it"
            yield failed("secrets", f"there is no Secret {secret}", advice)
            continue
        keys = sorted(key for name, key, optional in wanted.values() if name == secret and not optional)
        missing = [key for key in keys if key not in (found.get("data") or {})]
        if missing:
            yield failed(
                "secrets", f"Secret {secret} lacks {', '.join(missing)}", "add them: storage.secretKeys lists them"
            )
        else:
            yield passed("secrets", f"Secret {secret} has what the pods need")


@check("storage")
def storage(patient: Patient) -> Iterator[Finding]:
    """What is written to the storage can be read again, from here."""
    uri = patient.place.storage_uri
    store, token = open_store(uri), uuid.uuid4().hex.encode()
    store.write(_KEY, token)
    if store.read(_KEY) == token:
        yield passed("storage", f"{uri} takes and gives back an object")
    else:
        yield failed("storage", f"{uri} gave back something else than was written", "look for a cache before the store")


@check("ledger")
def ledger(patient: Patient) -> Iterator[Finding]:
    """The ledger is whole, and somebody is champion."""
    records = open_registry(patient.place.storage_uri, must_exist=True).ledger.records()
    if not records or records[-1].state.champion is None:
        yield unsure("ledger", "the ledger has no champion yet", "run the training pipeline: `belisha pipeline submit`")
    else:
        yield passed("ledger", f"the ledger has {len(records)} records; {records[-1].state.champion} is champion")
