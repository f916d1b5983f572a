"""Does what is installed serve? `helm test` runs this inside the cluster: each predictor answers a picture, and can be watched.

`python -m belisha.components.serve.smoke --deployment belisha` asks the ledger who serves, sends each predictor's Service one
drawn picture, looks for the executor's series there, and, with `--prometheus`, whether Prometheus has scraped them.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from belisha.components.shared.errors import EXIT_FAILED, BelishaError, InputError, NoDataError
from belisha.components.shared.registry import open_registry

SERIES = "seldon_api_executor_server_requests_seconds_count"
SERVICE_ADDRESS = "http://{deployment}-{predictor}:8000"
_STORAGE_URI = "BELISHA_STORAGE_URI"
_REQUEST_SECONDS = 30.0
_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """A predictor: its name and the address of its Service."""

    predictor: str
    url: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw, in a sentence."""

    passed: bool
    sentence: str


def targets(deployment: str, versions: Sequence[str], *, routed: bool, address: str = SERVICE_ADDRESS) -> list[Target]:
    """The predictors of these versions, as the release names them: one each, or one for all behind a router."""
    names = [f"r-{'-'.join(versions)}"] if routed else [f"y-{version}" for version in versions]
    return [Target(name, address.format(deployment=deployment, predictor=name)) for name in names]


def serving_versions(storage_uri: str) -> list[str]:
    """Champion and challenger of the ledger; raises NoDataError before the first release."""
    state = open_registry(storage_uri).ledger.state()
    if state.champion is None:
        raise NoDataError("nobody serves yet: release a model first (`belisha pipeline submit`)")
    return [version for version in (state.champion, state.challenger) if version]


def answers(target: Target) -> Finding:
    """Whether a predictor finds boxes, be it none, in a drawn picture."""
    request = urllib.request.Request(
        f"{target.url}/api/v1.0/predictions",
        data=json.dumps({"binData": _picture_base64()}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_REQUEST_SECONDS) as response:
            value = json.loads(response.read())
    except (OSError, ValueError) as error:
        return _failed(f"{target.predictor} did not answer a picture ({error}): look at `kubectl belisha status`")
    answer = value.get("jsonData", value) if isinstance(value, dict) else {}
    if not isinstance(answer, dict) or not isinstance(answer.get("boxes"), list):
        return _failed(f"{target.predictor} answered without boxes: look at the log of its detector")
    version = answer.get("model_version")
    return _passed(f"{target.predictor} answered as model {version} with {len(answer['boxes'])} boxes")


def shows_series(target: Target) -> Finding:
    """Whether the executor counts that predictor's requests."""
    try:
        with urllib.request.urlopen(f"{target.url}/prometheus", timeout=_REQUEST_SECONDS) as response:
            page = response.read().decode("utf-8", "replace")
    except OSError as error:
        return _failed(f"{target.predictor} shows no metrics ({error}): is it Seldon's executor that answers?")
    if not any(line.startswith(SERIES) and f'"{target.predictor}"' in line for line in page.splitlines()):
        return _failed(f"{target.predictor} does not show {SERIES}: dashboards would stay empty")
    return _passed(f"{target.predictor} shows {SERIES}")


def is_scraped(prometheus_url: str, deployment: str, target: Target, seconds: float) -> Finding:
    """Whether Prometheus gets to know a predictor's series within so many seconds."""
    query = f'{SERIES}{{deployment_name="{deployment}",predictor_name="{target.predictor}"}}'
    url = f"{prometheus_url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    until = time.monotonic() + seconds
    while True:
        problem = _no_samples(url)
        if not problem:
            return _passed(f"Prometheus has {SERIES} of {target.predictor}")
        if time.monotonic() >= until:
            return _failed(
                f"Prometheus has no {SERIES} of {target.predictor} ({problem}): is the PodMonitor on and selected?",
            )
        time.sleep(min(_PAUSE_SECONDS, max(0.0, until - time.monotonic())))


def _passed(sentence: str) -> Finding:
    return Finding(sentence=sentence, passed=True)


def _failed(sentence: str) -> Finding:
    return Finding(sentence=sentence, passed=False)


def _no_samples(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=_REQUEST_SECONDS) as response:
            value = json.loads(response.read())
        return "" if value["data"]["result"] else "an empty result"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return str(error)


def _picture_base64() -> str:
    picture = np.full((240, 320, 3), 127, np.uint8)
    cv2.rectangle(picture, (140, 60), (180, 200), (40, 60, 90), -1)
    return base64.b64encode(cv2.imencode(".jpg", picture)[1].tobytes()).decode()


def findings(options: argparse.Namespace) -> Iterator[Finding]:
    """Every check's finding, in order."""
    given = [version for version in (options.champion, options.challenger) if version]
    versions = given or serving_versions(options.storage)
    for target in targets(options.deployment, versions, routed=options.routed, address=options.address):
        yield answers(target)
        yield shows_series(target)
        if options.prometheus:
            yield is_scraped(options.prometheus, options.deployment, target, options.wait_seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every finding; 0 when all passed."""
    options = _options(arguments)
    try:
        seen = []
        for finding in findings(options):
            sys.stdout.write(f"{'ok  ' if finding.passed else 'FAIL'} {finding.sentence}\n")
            seen.append(finding.passed)
    except BelishaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0 if all(seen) else EXIT_FAILED


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="belisha.components.serve.smoke", description=__doc__)
    parser.add_argument("--deployment", required=True, help="name of the SeldonDeployment")
    parser.add_argument("--champion", default="", help="model version; the ledger's by default")
    parser.add_argument("--challenger", default="")
    parser.add_argument("--routed", action="store_true", help="one predictor with a router for all versions")
    parser.add_argument(
        "--address", default=SERVICE_ADDRESS, help="of a predictor; {deployment} and {predictor} are filled in"
    )
    parser.add_argument("--prometheus", default="", help="address of Prometheus; none asks nobody")
    parser.add_argument("--wait-seconds", type=float, default=90.0, help="for the first scrape")
    parser.add_argument("--storage", default=os.environ.get(_STORAGE_URI, ""))
    options = parser.parse_args(arguments)
    if not options.storage and not options.champion:
        raise SystemExit(str(InputError(f"expected --storage, {_STORAGE_URI} in the environment, or --champion")))
    return options


if __name__ == "__main__":
    sys.exit(main())
