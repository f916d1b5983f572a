"""The door to the API server: what each answer becomes, watches, and who we are to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from belisha.components.shared.errors import BelishaError, ClusterError, InputError
from belisha.components.shared.kube_api import (
    ConflictError,
    ExpiredError,
    ForbiddenError,
    KubeApi,
    RefusedError,
    ResourcePath,
    ThrottledError,
    connect,
)
from tests.kube.api_server import Key, KubeServer
from tests.kube.release_world import api_of

THINGS = ResourcePath("", "v1", "configmaps", "ml")


@pytest.fixture
def server() -> Iterator[KubeServer]:
    made = KubeServer()
    yield made
    made.close()


@pytest.fixture
def api(server: KubeServer) -> KubeApi:
    return api_of(server)


def put(server: KubeServer, name: str, **data: str) -> None:
    key = Key(THINGS.path(), name)
    server.write(key, {"metadata": {"labels": {"n": name}}, "data": data}, create=server.read(key) is None)


def test_paths() -> None:
    assert ResourcePath("apps", "v1", "deployments", "ml").path("a") == "/apis/apps/v1/namespaces/ml/deployments/a"
    assert ResourcePath("", "v1", "nodes").path() == "/api/v1/nodes"


def test_reading(server: KubeServer, api: KubeApi) -> None:
    for number in range(5):
        put(server, f"thing-{number}")
    assert [one["metadata"]["name"] for one in api.list(THINGS)] == [f"thing-{number}" for number in range(5)]
    assert [one["metadata"]["name"] for one in api.list(THINGS, labels="n=thing-3")] == ["thing-3"]
    assert api.get(THINGS, "nothing") is None and api.list(ResourcePath("no.such", "v1", "things")) == []
    assert api.get_text("/api/v1/namespaces/ml/pods/none/log") == ""


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        (400, RefusedError, 2),
        (401, ForbiddenError, 2),
        (403, ForbiddenError, 2),
        (408, ClusterError, 75),
        (409, ConflictError, 75),
        (410, ExpiredError, 75),
        (422, RefusedError, 2),
        (429, ThrottledError, 75),
        (500, ClusterError, 75),
        (504, ClusterError, 75),
    ],
)
def test_each_failure_has_its_error(
    server: KubeServer, api: KubeApi, code: int, kind: type[BelishaError], exit_code: int
) -> None:
    server.fail(code, "Reason", retry_after=3)
    with pytest.raises(kind, match="ordered Reason") as raised:
        api.get(THINGS, "a")
    assert raised.value.exit_code == exit_code
    assert getattr(raised.value, "retry_after_seconds", 3) == 3


def test_the_client_does_not_repeat_by_itself(server: KubeServer, api: KubeApi) -> None:
    server.fail(429, "TooManyRequests", retry_after=60, times=1)
    with pytest.raises(ThrottledError):
        api.get(THINGS, "a")
    assert len(server.requests) == 1


def test_nobody_there_is_a_passing_fault(server: KubeServer, api: KubeApi) -> None:
    server.close()
    with pytest.raises(ClusterError, match="check the kubeconfig") as raised:
        api.get(THINGS, "a")
    assert raised.value.exit_code == 75


def test_a_dry_run_writes_nothing(server: KubeServer, api: KubeApi) -> None:
    api.create(THINGS, {"metadata": {"name": "a"}}, dry_run=True)
    assert api.get(THINGS, "a") is None
    api.create(THINGS, {"metadata": {"name": "a"}})
    with pytest.raises(ConflictError):
        api.create(THINGS, {"metadata": {"name": "a"}})


def test_a_watch_gives_what_changed_and_ends(server: KubeServer, api: KubeApi) -> None:
    put(server, "a", x="1")
    found = api.get(THINGS, "a")
    assert found is not None
    put(server, "a", x="2")
    events = list(api.watch(THINGS, "a", found["metadata"]["resourceVersion"], 1))
    assert [(event["type"], event["object"]["data"]) for event in events] == [("MODIFIED", {"x": "2"})]


def test_a_watch_that_expired_says_so(server: KubeServer, api: KubeApi) -> None:
    server.expire_watches()
    with pytest.raises(ExpiredError):
        list(api.watch(THINGS, "a", "0", 1))


def test_a_connection_that_breaks_ends_a_watch() -> None:
    """The server dies in the middle of an event."""
    from kubernetes import client

    from belisha.components.shared.kube_api import api_client

    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = client.Configuration(host=f"http://127.0.0.1:{listener.getsockname()[1]}")
        events = KubeApi(api_client(settings)).watch(THINGS, "a", "1", 5)
        import threading

        def die() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            chunk = b'{"type": "MODIFIED", "object": {}}\n{"typ'
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.sendall(head + f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            connection.close()

        thread = threading.Thread(target=die)
        thread.start()
        assert [event["type"] for event in events] == ["MODIFIED"]
        thread.join()


def test_a_kubeconfig_names_server_token_and_namespace(server: KubeServer, tmp_path: Path) -> None:
    value = {
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "first"}},
            {"name": "two", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"token": "let-me-in"}}],
        "current-context": "one",
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(value))
    api, namespace = connect(kubeconfig=str(path))
    api.get(THINGS, "a")
    assert namespace == "first" and server.requests[-1].authorization == "Bearer let-me-in"
    assert connect(kubeconfig=str(path), context="two")[1] == "default"
    with pytest.raises(InputError, match="give --context or --kubeconfig"):
        connect(kubeconfig=str(path), context="three")


def test_a_pod_is_its_service_account(server: KubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from belisha.components.shared import kube_api

    (tmp_path / "token").write_text("of-the-pod")
    (tmp_path / "namespace").write_text("ml\n")
    (tmp_path / "ca.crt").write_text("a certificate")
    host, port = server.url.removeprefix("http://").split(":")
    monkeypatch.setattr(kube_api, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    settings = kube_api.in_cluster_settings()
    assert settings is not None and settings.host == f"https://{host}:{port}"
    assert settings.get_api_key_with_prefix("authorization") == "bearer of-the-pod"
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    assert kube_api.in_cluster_settings() is None
