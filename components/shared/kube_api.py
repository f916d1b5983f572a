"""A small door to a Kubernetes API server: JSON objects by their path, and every refusal as one of our errors.

The official client does the talking (kubeconfig, service accounts, TLS, exec plugins); its generated classes are left aside,
because half of what we look at are custom resources, and objects of unknown later versions must survive a read and a write.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from belisha.components.shared.errors import EXIT_USAGE, BelishaError, ClusterError, InputError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# One request; a watch lives longer, and says how long.
_CONNECT_SECONDS, _READ_SECONDS = 5.0, 30.0
_WATCH_GRACE_SECONDS = 10.0
_DEFAULT_RETRY_AFTER_SECONDS = 1.0
_PAGE = "500"

Json = dict[str, Any]


class ConflictError(ClusterError):
    """Somebody else wrote the object since it was read, or created it first: read again and decide anew."""


class ThrottledError(ClusterError):
    """The API server has too much to do; `retry_after_seconds` says when it wants to be asked again."""

    def __init__(self, sentence: str, retry_after_seconds: float) -> None:
        super().__init__(sentence)
        self.retry_after_seconds = retry_after_seconds


class ExpiredError(ClusterError):
    """A watch asked for changes that the API server has forgotten: read everything again."""


class RefusedError(BelishaError):
    """The API server, or a webhook that it asked, will not have this object; trying the same again gives the same."""

    exit_code = EXIT_USAGE


class ForbiddenError(BelishaError):
    """We may not do that."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """Where a kind of object lives below the API server.

    Attributes:
        group: API group, empty for the core one.
        version: of the API.
        plural: the kind's name in paths.
        namespace: of the objects; empty for kinds without.
    """

    group: str
    version: str
    plural: str
    namespace: str = ""

    def path(self, name: str = "") -> str:
        """Path of the collection, or of one object."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


class KubeApi:
    """Reads and writes objects.

    Args:
        client: a `kubernetes.client.ApiClient`.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self._client.configuration.host)

    def get(self, where: ResourcePath, name: str) -> Json | None:
        """One object; None when there is none. Raises ClusterError, ForbiddenError."""
        return self._object("GET", where.path(name))

    def get_path(self, path: str) -> Json | None:
        """What stands at a path that is no object, such as `/version`; None when nothing does."""
        return self._object("GET", path)

    def get_text(self, path: str, **query: str) -> str:
        """Text at a path, such as a pod's log; empty when there is none."""
        try:
            response = self._request("GET", path, query, None)
        except (_MissingError, RefusedError):
            return ""
        return bytes(response.data).decode("utf-8", "replace")

    def list(self, where: ResourcePath, *, labels: str = "") -> list[Json]:
        """Every object of a kind; an unknown kind gives none."""
        items: list[Json] = []
        query = {"limit": _PAGE, **({"labelSelector": labels} if labels else {})}
        while True:
            page = self._object("GET", where.path(), query)
            if page is None:
                return items
            items += page.get("items") or []
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return items
            query["continue"] = token

    def create(self, where: ResourcePath, body: Mapping[str, Any], *, dry_run: bool = False) -> Json:
        """Create an object; raises ConflictError when there is one of that name."""
        return self._written("POST", where.path(), body, dry_run=dry_run)

    def replace(self, where: ResourcePath, body: Mapping[str, Any], *, dry_run: bool = False) -> Json:
        """Replace an object; raises ConflictError unless `metadata.resourceVersion` is still its own."""
        return self._written("PUT", where.path(body["metadata"]["name"]), body, dry_run=dry_run)

    def watch(self, where: ResourcePath, name: str, resource_version: str, seconds: int) -> Generator[Json, None, None]:
        """Events of one object after a resource version, for at most so long; raises ExpiredError when that is forgotten."""
        query = {"watch": "true", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": str(seconds)}
        if resource_version:
            query["resourceVersion"] = resource_version
        response = self._request("GET", where.path(), query, None, read_seconds=seconds + _WATCH_GRACE_SECONDS)
        try:
            for line in _lines(response):
                event = json.loads(line)
                if event.get("type") == "ERROR":
                    raise _error_of(event["object"].get("code", 0), event["object"], f"watching {where.path(name)}")
                yield event
        finally:
            response.release_conn()

    def _written(self, method: str, path: str, body: Mapping[str, Any], *, dry_run: bool) -> Json:
        query = {"fieldManager": "belisha", **({"dryRun": "All"} if dry_run else {})}
        response = self._request(method, path, query, body)
        return _json_of(response)

    def _object(self, method: str, path: str, query: Mapping[str, str] | None = None) -> Json | None:
        try:
            return _json_of(self._request(method, path, dict(query or {}), None))
        except _MissingError:
            return None

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        *,
        read_seconds: float = _READ_SECONDS,
    ) -> Any:
        import urllib3
        from kubernetes.client.exceptions import ApiException

        doing = f"{method} {path} at {self.server}"
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        try:
            return self._client.call_api(
                path,
                method,
                query_params=list(query.items()),
                header_params=headers,
                body=dict(body) if body is not None else None,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=(_CONNECT_SECONDS, read_seconds),
            )
        except ApiException as error:
            raise _error_of(error.status, _status_of(error.body), doing, dict(error.headers or {})) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(
                f"{doing} failed ({_short(error)}): check the kubeconfig, the context and the network"
            ) from None


class _MissingError(BelishaError):
    """There is no such object, or no such kind."""


def connect(*, context: str = "", kubeconfig: str = "") -> tuple[KubeApi, str]:
    """The API server of the pod that this runs in, else of a kubeconfig.

    Args:
        context: of the kubeconfig; empty takes its current one.
        kubeconfig: its path; empty takes $KUBECONFIG or the one in the home folder.

    Returns:
        The door, and the namespace that the context or the pod's service account names.

    Raises:
        InputError: neither can be used.
    """
    from kubernetes import client, config

    # The library looks at the variable when it is imported, once.
    kubeconfig = kubeconfig or os.environ.get("KUBECONFIG", "")
    settings = None if context or kubeconfig else in_cluster_settings()
    if settings is not None:
        return KubeApi(api_client(settings)), (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    settings = client.Configuration()
    try:
        config.load_kube_config(kubeconfig or None, context or None, settings)
        namespace = _namespace_of(kubeconfig, context)
    except (config.ConfigException, OSError, ValueError) as error:
        advice = "give --context or --kubeconfig, or set KUBECONFIG"
        raise InputError(f"no cluster to talk to ({error}): {advice}") from None
    return KubeApi(api_client(settings)), namespace


def in_cluster_settings() -> Any:
    """Settings of the official client for the service account of the pod that this runs in; None outside of a cluster."""
    from kubernetes import client
    from kubernetes.config.incluster_config import InClusterConfigLoader

    if "KUBERNETES_SERVICE_HOST" not in os.environ or not (SERVICE_ACCOUNT / "token").exists():
        return None
    settings = client.Configuration()
    token, certificate = str(SERVICE_ACCOUNT / "token"), str(SERVICE_ACCOUNT / "ca.crt")
    # It reads the token again every minute: a projected one is replaced long before it ends.
    InClusterConfigLoader(token, certificate).load_and_set(settings)
    return settings


def api_client(settings: Any) -> Any:
    """The official client without its own retries: who waits how long is decided by whoever asks."""
    import urllib3
    from kubernetes import client

    if not settings.verify_ssl:
        # The kubeconfig says so; a warning at every request would hide everything else.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    settings.retries = urllib3.Retry(total=0, redirect=0, respect_retry_after_header=False)
    return client.ApiClient(settings)


def _namespace_of(kubeconfig: str, context: str) -> str:
    from kubernetes import config

    contexts, active = config.list_kube_config_contexts(kubeconfig or None)
    chosen = next((one for one in contexts if one["name"] == context), active)
    return str(chosen["context"].get("namespace") or "default")


def _lines(response: Any) -> Iterator[bytes]:
    """Whole lines of a stream; a connection that breaks ends it, for a watch is begun again anyway."""
    import urllib3

    rest = b""
    try:
        for piece in response.stream(amt=None, decode_content=False):
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line for line in lines if line.strip())
    except (urllib3.exceptions.HTTPError, OSError):
        return


def _json_of(response: Any) -> Json:
    data = json.loads(response.data)
    return data if isinstance(data, dict) else {}


def _status_of(body: Any) -> Json:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {"message": str(body)[:200]}
    return value if isinstance(value, dict) else {}


def _error_of(
    code: int, status: Mapping[str, Any], doing: str, headers: Mapping[str, str] | None = None
) -> BelishaError:
    """One of our errors for an answer that is none."""
    message = str(status.get("message") or f"status {code}").strip()
    if code == 404:
        return _MissingError(f"{doing}: {message}")
    if code == 409:
        return ConflictError(f"{doing} met another writer ({message}): read again")
    if code == 410:
        return ExpiredError(f"{doing}: {message}: read again")
    if code in (401, 403):
        return ForbiddenError(
            f"{doing} is not allowed ({message}): give this account the role of the chart's release controller"
        )
    if code == 429:
        return ThrottledError(f"{doing} is throttled ({message}): try again later", _retry_after(headers or {}))
    if code >= 500 or code in (0, 408):
        return ClusterError(f"{doing} failed for now ({code}: {message}): try again")
    return RefusedError(f"{doing} was refused ({message}): correct the object")


def _retry_after(headers: Mapping[str, str]) -> float:
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return float(value) if value.isdigit() else _DEFAULT_RETRY_AFTER_SECONDS


def _short(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason).split(": ", 1)[-1][:200]
