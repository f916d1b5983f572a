"""Every environment variable of ours, in one table: what it does, and a refusal of what looks like one and is none.

`python -m belisha.components.shared.environment > docs/settings.md` writes the table for people.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from belisha.components.shared.errors import InputError

PREFIX = "BELISHA_"
_OF_TESTS = f"{PREFIX}TEST_"
# Kubernetes tells every container of the Services beside it; one called belisha or belisha-… gives names like ours.
_OF_A_SERVICE = re.compile(r".+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_ADDRESS_OF_A_SERVICE = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable.

    Attributes:
        name: as it stands in the environment.
        default: what holds when it is unset, for people.
        meaning: one line.
    """

    name: str
    default: str
    meaning: str


VARIABLES = (
    Variable("BELISHA_ACTOR", "the login name", "Who acts, as the ledger records it."),
    Variable("BELISHA_IMAGE_PREFIX", "`belisha`", "Registry and path before each image's name, where a pipeline is compiled."),
    Variable("BELISHA_IMAGE_TAG", "the version", "Tag of each image, where a pipeline is compiled."),
    Variable("BELISHA_KFP_ENDPOINT", "none", "Address of the Kubeflow Pipelines API, e.g. `http://ml-pipeline.kubeflow:8888`."),
    Variable("BELISHA_KFP_NAMESPACE", "none", "Namespace in a multi-user Kubeflow."),
    Variable("BELISHA_KFP_TOKEN_FILE", "the pod's projected token, if any", "File with the token for Kubeflow Pipelines."),
    Variable("BELISHA_LISTEN_HOST", "every interface", "Address on which a predictor's servers listen."),
    Variable("BELISHA_LOG_SECONDS", "`60`", "How long a predictor's row may wait before it is written to the request log."),
    Variable("BELISHA_METRICS_FOLDER", "a temporary folder", "Where a predictor's processes keep their common counters."),
    Variable("BELISHA_METRICS_PORT", "`6001`", "Port of a predictor's metrics."),
    Variable("BELISHA_NAMESPACE", "none", "Kubernetes namespace, as a label of what the loop's jobs push."),
    Variable("BELISHA_PROGRESS_FILE", "none", "File that pipeline steps append progress to; `belisha run` sets it."),
    Variable("BELISHA_PUSHGATEWAY", "none", "Address of a Prometheus Pushgateway that takes the metrics of the loop's jobs."),
    Variable("BELISHA_READ_SECONDS", "`20`", "How long a client may take to deliver a request to a predictor."),
    Variable("BELISHA_RETRAIN_CONFIG", "none", "Default of `--config` of `belisha retrain`: policy and run parameters."),
    Variable("BELISHA_REVIEW_PAIRED_RATIO", "`0.25`", "Share of the requests answered by both models that is kept for review."),
    Variable("BELISHA_REVIEW_UNIFORM_RATIO", "`0.01`", "Share of all requests that is kept for review, drawn blindly."),
    Variable("BELISHA_STORAGE_URI", "none", "Default of `--storage`: where pictures, models and the ledger live."),
)  # fmt: skip


def refuse_unknown(environment: Mapping[str, str]) -> None:
    """Raise InputError when a variable begins like ours and is none: a typing mistake would change nothing, silently."""
    known = [variable.name for variable in VARIABLES]
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known and not _is_others(name, environment[name]):
            raise InputError(
                f"the environment sets {name}, which is no setting of belisha: {_hint(name, known)}; correct it or unset it"
            )


def _hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known])
    return f"it is close to {' and '.join(PREFIX + one for one in near)}" if near else f"known are {', '.join(known)}"


def _is_others(name: str, value: str) -> bool:
    """Whether the variable belongs to the tests, or was put there by Kubernetes."""
    of_a_service = _OF_A_SERVICE.fullmatch(name) or (name.endswith("_PORT") and _ADDRESS_OF_A_SERVICE.match(value))
    return name.startswith(_OF_TESTS) or bool(of_a_service)


def settings_page() -> str:
    """The table as Markdown."""
    rows = [f"| `{variable.name}` | {variable.default} | {variable.meaning} |" for variable in VARIABLES]
    return "\n".join(
        [
            "# Settings from the environment",
            "",
            "Everything else is an option of its verb; see `belisha VERB --help`. The command line refuses any other variable",
            f"that begins with `{PREFIX}`, except `{_OF_TESTS}…` and those that Kubernetes makes of Services.",
            "",
            "| variable | when unset | what it does |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(settings_page())
