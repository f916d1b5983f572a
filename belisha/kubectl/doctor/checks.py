"""What a check is, and the list of them: a function that looks at one link of the chain, registered by a decorator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from belisha.components.release.release_template import ReleaseTemplate
from belisha.components.shared.kube_api import KubeApi, ResourcePath
from belisha.components.shared.ledger import system_clock
from belisha.components.shared.verdict import Verdict
from belisha.kubectl.place import Place


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        check: its name.
        verdict: PASS, INCONCLUSIVE when it cannot tell, FAIL when something is broken.
        sentence: what was found.
        advice: what to do; empty when nothing is to be done.
    """

    check: str
    verdict: Verdict
    sentence: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined.

    Attributes:
        place: the release.
        prometheus: address of a Prometheus server that this machine reaches; empty goes through the API server.
        kfp: namespace/service:port of KFP's API in the cluster.
        now: the time.
    """

    place: Place
    prometheus: str = ""
    kfp: str = "kubeflow/ml-pipeline:8888"
    now: datetime = field(default_factory=system_clock)

    @property
    def api(self) -> KubeApi:
        """The API server."""
        return self.place.api

    @property
    def template(self) -> ReleaseTemplate:
        """The release template."""
        return self.place.template

    def resource(self, group: str, version: str, plural: str, namespace: str | None = None) -> ResourcePath:
        """A kind in the release's namespace, or in another one; empty for all of them."""
        return ResourcePath(group, version, plural, self.place.namespace if namespace is None else namespace)

    def own(self, part: str) -> str:
        """Name of one of the chart's objects, such as the controller's."""
        return f"{self.place.name}-{part}"


Check = Callable[[Patient], Iterable[Finding]]
_CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    """Register a check under a name; the order of registration is that of the chain."""

    def register(function: Check) -> Check:
        _CHECKS[name] = function
        return function

    return register


def registered() -> Mapping[str, Check]:
    """Checks by name, in the order of the chain; those of the modules that were imported."""
    return MappingProxyType(_CHECKS)


def passed(name: str, sentence: str) -> Finding:
    """All is well here."""
    return Finding(name, Verdict.PASS, sentence)


def failed(name: str, sentence: str, advice: str) -> Finding:
    """Something is broken."""
    return Finding(name, Verdict.FAIL, sentence, advice)


def unsure(name: str, sentence: str, advice: str) -> Finding:
    """Nobody can tell, or it may become a problem."""
    return Finding(name, Verdict.INCONCLUSIVE, sentence, advice)
