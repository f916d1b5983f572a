"""Guards' figures on one machine: failed attempts from the gateway, latencies from the request log.

The gateway's counters run since it was started. So the judge keeps what it read at its last check beside the experiment and
looks at what came since as well as at the whole: an outage after a long calm must not drown in it.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from belisha.components.experiment.guards import Attempts
from belisha.components.experiment.prometheus_levels import UnreachableError
from belisha.components.shared.errors import InputError

_SECONDS = 10.0
_MOST_BYTES = 16 * 2**20
_ANSWERED = ("answered", "client_error")


@dataclass(frozen=True, slots=True)
class Counted:
    """One model's counters: attempts on it, and those that failed by its fault."""

    attempts: int = 0
    failed: int = 0


def gateway_attempts(url: str, version: str) -> Counted:
    """What a gateway and the predictor behind it have counted of a model since they began.

    Args:
        url: of the gateway, such as `http://localhost:8080`.
        version: of the model.

    Raises:
        InputError: the address is none.
        UnreachableError: it gave no answer that can be read.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url} is no address of a gateway: give one such as http://localhost:8080")
    own = _of_gateway(_samples(f"{url.rstrip('/')}/metrics"), version)
    try:
        state = json.loads(_get(f"{url.rstrip('/')}/api/v1.0/state"))
        pages = [one["metrics_url"] for one in state.get("predictors", ()) if one["version"] == version]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreachableError(f"{url} gave no state that can be read ({error}): is it the gateway?") from None
    shadows = [_of_shadows(page, version) for page in pages if page]
    return Counted(own.attempts + sum(one.attempts for one in shadows), own.failed + sum(one.failed for one in shadows))


def since_last_check(before: Counted | None, now: Counted) -> list[Attempts]:
    """What came since the check before, if there was one, and the whole count.

    Args:
        before: what the last check read; None for the first.
        now: what was read now.
    """
    whole = Attempts(now.attempts, now.failed, "since the gateway began")
    if before is None or before.attempts > now.attempts or before.failed > now.failed:
        # A gateway that was started again counts from 0: all of it came since the last check.
        return [whole]
    recent = Attempts(now.attempts - before.attempts, now.failed - before.failed, "since the last check")
    return [recent, whole]


def _of_gateway(samples: Iterable[Any], version: str) -> Counted:
    answered = failed = 0.0
    for sample in samples:
        if sample.labels.get("model_version") != version:
            continue
        if sample.name == "belisha_gateway_requests_total" and sample.labels.get("outcome") in _ANSWERED:
            answered += sample.value
        elif sample.name == "belisha_gateway_failures_total":
            failed += sample.value
    return Counted(round(answered + failed), round(failed))


def _of_shadows(page: str, version: str) -> Counted:
    """What a predictor counted of shadow requests, which the gateway does not count by model; nothing where it is silent."""
    try:
        samples = _samples(page)
    except UnreachableError:
        return Counted()
    own = [
        (sample.labels.get("outcome"), sample.value)
        for sample in samples
        if sample.name == "belisha_requests_total"
        and sample.labels.get("model_version") == version
        and sample.labels.get("shadow") == "true"
    ]
    failed = round(sum(value for outcome, value in own if outcome == "error"))
    return Counted(failed + round(sum(value for outcome, value in own if outcome == "ok")), failed)


def _samples(url: str) -> list[Any]:
    try:
        families = list(text_string_to_metric_families(_get(url).decode()))
    except (ValueError, KeyError, IndexError) as error:
        raise UnreachableError(f"{url} is no page of metrics ({error}): give the gateway's address") from None
    return [sample for family in families for sample in family.samples]


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as response:
            return bytes(response.read(_MOST_BYTES))
    except OSError as error:
        raise UnreachableError(f"{url} gave no answer ({error}): is it running?") from None
