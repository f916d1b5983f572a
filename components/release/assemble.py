"""Joins the release controller to a real cluster, a registry and a template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from belisha.components.release.apply import Applier, ApplySettings
from belisha.components.release.cluster import KubernetesCluster
from belisha.components.release.controller import Controller
from belisha.components.release.realised_split import PrometheusTraffic
from belisha.components.release.release_template import ReleaseTemplate, parse_release_template
from belisha.components.shared.errors import InputError
from belisha.components.shared.kube_api import KubeApi, connect
from belisha.components.shared.registry import open_registry


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Which cluster.

    Attributes:
        namespace: of the SeldonDeployment; empty takes the template's, else the context's.
        context: of the kubeconfig; empty takes its current one, or the pod's service account.
        kubeconfig: its path; empty takes $KUBECONFIG.
        prometheus: address of a Prometheus server; empty asks none.
        adopt: take over an object that somebody else made.
    """

    namespace: str = ""
    context: str = ""
    kubeconfig: str = ""
    prometheus: str = ""
    adopt: bool = False


def applier_of(
    storage_uri: str, template_file: Path, options: ClusterOptions, settings: ApplySettings, tell: Callable[[str], None]
) -> Applier:
    """What applies the ledger's state to the cluster; raises InputError, ContractError."""
    template = read_template(template_file)
    api, namespace = connect(context=options.context, kubeconfig=options.kubeconfig)
    return applier_with(
        api, storage_uri, template, options.namespace or template.namespace or namespace, options, settings, tell
    )


def applier_with(
    api: KubeApi,
    storage_uri: str,
    template: ReleaseTemplate,
    namespace: str,
    options: ClusterOptions,
    settings: ApplySettings,
    tell: Callable[[str], None],
) -> Applier:
    """The same with an API server that is connected already."""
    cluster = KubernetesCluster(api, namespace, template.name)
    controller = Controller(cluster, open_registry(storage_uri), template, adopt=options.adopt)
    traffic = PrometheusTraffic(options.prometheus, namespace, template.name) if options.prometheus else None
    return Applier(controller, settings, traffic, tell)


def read_template(path: Path) -> ReleaseTemplate:
    """The release template of a file; raises InputError, ContractError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give --template, as the chart's ConfigMap has it"
        ) from None
    return parse_release_template(text, str(path))
