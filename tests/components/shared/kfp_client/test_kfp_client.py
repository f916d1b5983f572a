"""The client against a real HTTP server that knows the API's shape from kfp's own models."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.shared.errors import EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, InputError
from belisha.components.shared.kfp_client import (
    KfpClient,
    KfpError,
    KfpTransport,
    RunState,
    projected_token,
    token_file,
)
from belisha.components.shared.kfp_client.package import parse_package, sdk_version, without_caching
from belisha.components.shared.kfp_client.transport import Patience
from tests.kfp_stub import API, PACKAGE, Fault, KfpStub, serving

QUICK = Patience(connect_seconds=2.0, read_seconds=2.0, answer_seconds=2.0, backoff_seconds=0.001)


@pytest.fixture
def stub() -> Iterator[KfpStub]:
    with serving(KfpStub()) as running:
        yield running
        assert running.complaints == []


def client_of(stub: KfpStub, **options: Any) -> KfpClient:
    namespace = options.pop("namespace", "")
    return KfpClient(KfpTransport(stub.url, patience=QUICK, **options), namespace)


def submitted(client: KfpClient, name: str = "run one") -> str:
    version, _ = client.upload_version("belisha-training", PACKAGE)
    experiment = client.experiment("belisha")
    return client.submit(name, version, {"a": 1}, experiment_id=experiment.experiment_id).run_id


def test_an_upload_is_done_once_per_content(stub: KfpStub) -> None:
    client = client_of(stub)
    first, made = client.upload_version("belisha-training", PACKAGE, "a description")
    again, made_again = client.upload_version("belisha-training", PACKAGE)
    other, made_other = client.upload_version("belisha-training", PACKAGE + b"# changed\n")
    assert (made, made_again, made_other) == (True, False, True)
    assert first == again and other.version_id != first.version_id
    assert len(stub.pipelines) == 1 and len(stub.versions) == 2
    assert client.newest_version("belisha-training") == other


def test_an_upload_whose_answer_is_lost_is_found(stub: KfpStub) -> None:
    stub.faults.append(Fault("POST", f"{API}/pipelines/upload_version", status=502, applied=True))
    version, made = client_of(stub).upload_version("belisha-training", PACKAGE)
    assert not made and version.version_id in stub.versions


def test_a_run_is_submitted_with_everything_it_needs(stub: KfpStub) -> None:
    client = client_of(stub)
    version, _ = client.upload_version("belisha-training", PACKAGE)
    experiment = client.experiment("belisha")
    run = client.submit(
        "retrain-x",
        version,
        {"storage_uri": "s3://b", "train_epochs": 3, "data_sources": ["a"]},
        experiment_id=experiment.experiment_id,
        pipeline_root="s3://b/root",
        service_account="runner",
    )
    assert run.state is RunState.PENDING
    (request,) = stub.sent("POST", f"{API}/runs")
    assert request.body == {
        "display_name": "retrain-x",
        "experiment_id": experiment.experiment_id,
        "pipeline_version_reference": {
            "pipeline_id": version.pipeline_id,
            "pipeline_version_id": version.version_id,
        },
        "runtime_config": {
            "parameters": {"storage_uri": "s3://b", "train_epochs": 3, "data_sources": ["a"]},
            "pipeline_root": "s3://b/root",
        },
        "service_account": "runner",
    }
    assert client.experiment("belisha") == experiment and len(stub.experiments) == 1


def test_without_cache_the_pipeline_travels_with_the_run(stub: KfpStub) -> None:
    """A request that names a version cannot switch caching off: KFP's own client drops the wish silently."""
    from belisha.pipelines.compiling import compiled_path

    client = client_of(stub)
    package = without_caching(parse_package(compiled_path().read_bytes()))
    client.submit_package("r", package, {"storage_uri": "s"}, experiment_id=client.experiment("e").experiment_id)
    (request,) = stub.sent("POST", f"{API}/runs")
    spec = request.body["pipeline_spec"]
    assert set(spec) == {"pipeline_spec", "platform_spec"}
    assert not any(task["cachingOptions"] for task in spec["pipeline_spec"]["root"]["dag"]["tasks"].values())
    assert sdk_version(package) == "2.17.0"


def test_kfps_own_client_sends_the_same(stub: KfpStub, tmp_path: Path) -> None:
    """The stub is no private world: kfp's own client can work with it, and its request for a run is ours."""
    import kfp

    stub.page_size = 100
    ours = client_of(stub)
    submitted(ours, "the same")
    version = ours.newest_version("belisha-training")
    theirs = kfp.Client(host=stub.url)
    experiment_id = next(iter(stub.experiments))
    theirs.run_pipeline(
        experiment_id, "the same", pipeline_id=version.pipeline_id, version_id=version.version_id, params={"a": 1}
    )
    first, second = (request.body for request in stub.sent("POST", f"{API}/runs"))
    assert first == {key: value for key, value in second.items() if value not in (None, {}, "")}


def test_lists_follow_pages_and_filter_by_name(stub: KfpStub) -> None:
    client = client_of(stub)
    for number in range(5):
        submitted(client, f"run {number % 2}")
    experiment_id = next(iter(stub.experiments))
    assert [run.name for run in client.runs(experiment_id=experiment_id)] == [
        "run 0",
        "run 1",
        "run 0",
        "run 1",
        "run 0",
    ]
    assert [run.name for run in client.runs(name="run 1")] == ["run 1", "run 1"]
    assert list(client.runs(name="nobody")) == []


@pytest.mark.parametrize("name", ['a "quoted" name', "ünïcode/with slash", "a&b=c?d#e", "x" * 200])
def test_names_of_any_kind_reach_the_server_whole(name: str, stub: KfpStub) -> None:
    client = client_of(stub)
    submitted(client, name)
    assert [run.name for run in client.runs(name=name)] == [name]
    assert client.experiment(name) == client.experiment(name)


def test_a_schedule_has_six_fields_no_catch_up_and_one_run_at_a_time(stub: KfpStub) -> None:
    client = client_of(stub)
    version, _ = client.upload_version("p", PACKAGE)
    experiment_id = client.experiment("e").experiment_id
    made, new = client.schedule("weekly", "0 0 3 * * 1", version, {"a": 1}, experiment_id=experiment_id)
    again, new_again = client.schedule("weekly", "0  0 3 * * 1", version, {"a": 1}, experiment_id=experiment_id)
    assert (new, new_again) == (True, False) and made == again
    (request,) = stub.sent("POST", f"{API}/recurringruns")
    assert (request.body["no_catchup"], request.body["max_concurrency"], request.body["mode"]) == (True, "1", "ENABLE")
    assert request.body["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    with pytest.raises(InputError, match="exists with '0 0 3"):
        client.schedule("weekly", "0 0 4 * * 1", version, {}, experiment_id=experiment_id)
    client.delete_recurring_run(made.recurring_run_id)
    assert list(client.recurring_runs(experiment_id=experiment_id)) == []


def test_the_server_says_what_it_is(stub: KfpStub) -> None:
    info = client_of(stub).server()
    assert (info.version, info.multi_user) == ("2.17.0", False)
    stub.faults.append(Fault("GET", "/apis/v1beta1/healthz", status=404))
    assert client_of(stub).server().version == ""


def test_several_users_need_a_namespace_and_a_token_that_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old\n")
    with serving(KfpStub(multi_user=True, token="new")) as stub:
        client = client_of(stub, token=token_file(path), namespace="team-a")
        with pytest.raises(KfpError, match="does not know the token") as refused:
            client.experiment("belisha")
        assert refused.value.exit_code == EXIT_USAGE
        path.write_text("new\n")  # Kubernetes has renewed it
        submitted(client)
        assert [request.query["namespace"] for request in stub.sent("GET", f"{API}/experiments")][-1] == "team-a"
        assert stub.sent("POST", f"{API}/experiments")[-1].body["namespace"] == "team-a"
        assert [run.name for run in client.runs(name="run one")] == ["run one"]
        assert stub.complaints == []


@pytest.mark.parametrize(
    ("case", "content"),
    [("missing", None), ("empty", b" \n"), ("two words", b"a b"), ("no text", b"\xff\xfe"), ("header", b"a\r\nX: b")],
)
def test_what_is_no_token_never_becomes_a_header(
    case: str, content: bytes | None, tmp_path: Path, stub: KfpStub
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(InputError, match="token file"):
        client_of(stub, token=token_file(tmp_path / "token")).server()
    assert stub.requests == []


def test_a_pod_finds_its_projected_token_where_kfp_looks_for_it(tmp_path: Path, stub: KfpStub) -> None:
    (tmp_path / "token").write_text("projected")
    client_of(stub, token=projected_token({"KF_PIPELINES_SA_TOKEN_PATH": str(tmp_path / "token")})).server()
    client_of(stub, token=projected_token({})).server()
    sent = [request.headers.get("authorization") for request in stub.sent("GET", f"{API}/healthz")]
    assert sent == ["Bearer projected", None]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 0])
def test_reading_is_repeated_after_passing_faults(status: int, stub: KfpStub) -> None:
    stub.faults.append(Fault("GET", f"{API}/healthz", times=3, status=status))
    assert client_of(stub).server().version == "2.17.0"
    assert len(stub.sent("GET", f"{API}/healthz")) == 4


@pytest.mark.parametrize(
    ("status", "applied", "sent", "maybe_done"),
    [
        (500, True, 1, True),
        (503, False, 1, True),
        (0, True, 1, True),
        (429, False, 4, False),
        (400, False, 1, False),
        (409, False, 1, False),
    ],
)
def test_starting_a_run_is_repeated_only_where_that_is_harmless(
    status: int, applied: bool, sent: int, maybe_done: bool, stub: KfpStub
) -> None:
    client = client_of(stub)
    stub.faults.append(Fault("POST", f"{API}/runs", times=9, status=status, applied=applied))
    with pytest.raises(KfpError) as failed:
        submitted(client)
    assert failed.value.maybe_done is maybe_done
    assert len(stub.sent("POST", f"{API}/runs")) == sent
    assert len(stub.runs) == int(applied)


def test_a_polite_server_that_is_busy_gets_its_pause(stub: KfpStub) -> None:
    stub.faults.append(Fault("POST", f"{API}/runs", times=1, status=429, headers={"Retry-After": "0"}))
    assert submitted(client_of(stub)) in stub.runs


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, EXIT_USAGE, "correct what it complains of"),
        (401, EXIT_USAGE, "does not know the token"),
        (403, EXIT_USAGE, "may not do that"),
        (404, EXIT_USAGE, "is not there"),
        (302, EXIT_USAGE, "login page"),
        (429, EXIT_RETRY, "try again later"),
        (503, EXIT_RETRY, "try again later"),
        (501, EXIT_FAILED, "correct what it complains of"),
    ],
)
def test_refusals_are_one_sentence_with_advice(status: int, code: int, words: str, stub: KfpStub) -> None:
    stub.faults.append(Fault("GET", f"{API}/runs/x", times=9, status=status, headers={"Location": "/dex/auth"}))
    with pytest.raises(KfpError, match=words) as refused:
        client_of(stub).run("x")
    assert refused.value.exit_code == code
    assert "\n" not in str(refused.value)
    assert len([one for one in stub.requests if "dex" in one.path]) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"<html>login</html>",
        b"[]",
        b'"text"',
        b'{"run_id": 7}',
        b'{"run_id": ""}',
        b'{"run_id": "x", "state": ["RUNNING"]}',
        b'{"run_id": "x", "display_name": {}}',
        b"[" * 100_000,
        b"\xff\xfe\x00",
        b"",
        b'{"run_id": "x"',
    ],
    ids=["html", "list", "text", "number", "empty id", "list state", "object name", "deep", "binary", "empty", "cut"],
)
def test_hostile_answers_end_in_a_sentence(body: bytes, stub: KfpStub) -> None:
    stub.faults.append(Fault("GET", f"{API}/runs/x", times=9, status=200, body=body))
    with pytest.raises(KfpError) as refused:
        client_of(stub).run("x")
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "body", [b'{"runs": {}}', b'{"runs": [1]}', b'{"next_page_token": 5}', b'{"runs": [{"run_id": null}]}']
)
def test_hostile_pages_end_in_a_sentence(body: bytes, stub: KfpStub) -> None:
    stub.faults.append(Fault("GET", f"{API}/runs", times=9, status=200, body=body))
    with pytest.raises(KfpError):
        list(client_of(stub).runs())


def test_pages_without_end_end(stub: KfpStub) -> None:
    stub.faults.append(Fault("GET", f"{API}/runs", times=99, status=200, body=b'{"next_page_token": "again"}'))
    with pytest.raises(KfpError, match="without end"):
        list(client_of(stub).runs())


def test_a_state_of_tomorrow_is_not_an_end(stub: KfpStub) -> None:
    client = client_of(stub)
    run_id = submitted(client)
    stub.set_state("run one", "HIBERNATING")
    assert client.run(run_id).state is RunState.UNSPECIFIED


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        transport = KfpTransport(f"http://127.0.0.1:{unused.getsockname()[1]}", patience=QUICK)
        with pytest.raises(KfpError, match="got no answer") as failed:
            transport.post("/runs", {})
    assert failed.value.exit_code == EXIT_RETRY
    assert failed.value.maybe_done is False, "nobody can have seen it"


@pytest.mark.parametrize(
    "sends",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"garbage\r\n\r\n"],
    ids=["silent", "drips", "garbage"],
)
def test_a_server_that_never_answers_is_left(sends: bytes) -> None:
    """It takes the connection and then says nothing, or a byte now and then for ever, or what is no HTTP."""
    stop = threading.Event()

    def serve(listener: socket.socket) -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(sends)
                while b"100000" in sends and not stop.wait(0.02):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        break
                stop.wait(0.6)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        patience = Patience(connect_seconds=1, read_seconds=0.2, answer_seconds=0.3, attempts=1, backoff_seconds=0)
        transport = KfpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}", patience=patience)
        with pytest.raises(KfpError) as failed:
            transport.post("/runs", {})
        stop.set()
    thread.join(timeout=5)
    assert failed.value.maybe_done is True, "the request was sent"


def test_an_answer_without_end_is_cut(stub: KfpStub) -> None:
    stub.faults.append(Fault("GET", f"{API}/runs/x", times=9, status=200, body=b" " * (33 * 2**20)))
    with pytest.raises(KfpError, match="more than 32 MiB"):
        client_of(stub).run("x")


@pytest.mark.parametrize(
    "endpoint", ["", "ml-pipeline:8888", "ftp://x", "http://", "http://u:p@host", "http://host/?a=b", "http://host:0x"]
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(InputError, match="no address of a KFP API"):
        KfpTransport(endpoint)


@given(
    st.dictionaries(
        st.text(max_size=12), st.recursive(st.none() | st.booleans() | st.text(max_size=5), st.lists, max_leaves=4)
    )
)
def test_whatever_a_server_says_a_run_is_a_run_or_an_error(value: dict[str, Any]) -> None:
    from belisha.components.shared.kfp_client.resources import parse_recurring_run, parse_run, parse_version

    for parse in (parse_run, parse_version, parse_recurring_run):
        with contextlib.suppress(KfpError):
            parse({"run_id": "x", **value})


def test_a_file_that_kfp_would_not_take_is_not_sent(stub: KfpStub) -> None:
    with pytest.raises(InputError, match="make it smaller"):
        client_of(stub).upload_version("p", b"#" * (33 * 2**20))
    assert stub.requests == []
