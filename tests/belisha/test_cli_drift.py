"""`belisha drift` as people and CronJobs call it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from belisha.cli.verbs import drift as verb
from belisha.components.shared.errors import InputError, StorageError
from belisha.components.shared.registry import open_registry
from belisha.components.shared.storage import open_store
from belisha.retraining.config import KfpConfig
from belisha.retraining.kfp_access import client_of
from tests.components.drift.drift_log import NOON, log_table, write_log
from tests.kfp_stub import KfpStub, serving
from tests.serving_world import make_world

SMALL = ("--window", "100", "--min-window", "50", "--min-reference", "600")


@pytest.fixture
def storage(tmp_path: Path) -> str:
    make_world(tmp_path, models=1, pictures=1)
    uri = str(tmp_path / "storage")
    write_log(open_store(uri), log_table(1000, seed=1, begin=NOON - timedelta(hours=2)))
    frozen = call(
        "reference", "--from-log", "--storage", uri, "--days", "1", "--min-reference", "600", "--until", "2026-05-01"
    )
    assert isinstance(frozen.exception, Exception)
    frozen = call(
        "reference", "--from-log", "--storage", uri, "--days", "1", "--min-reference", "600", "--until",
        "2026-05-01T12:00:00", "--json",
    )  # fmt: skip
    assert json.loads(frozen.stdout)["pictures"] == 1000
    return uri


def call(*arguments: str):
    app = typer.Typer()
    app.callback()(lambda: None)
    verb.register(app)
    return CliRunner().invoke(app, ["drift", *arguments])


def check(storage: str, shift: dict[str, float], *arguments: str):
    write_log(open_store(storage), log_table(300, seed=2, shift=shift), writer="host-2")
    return call("check", "--storage", storage, "--until", "2026-05-01 12:10:00", *SMALL, *arguments)


def test_no_drift_is_0_and_said_in_a_table(storage: str) -> None:
    done = check(storage, {})
    assert done.exit_code == 0, done.output
    assert "north/any" in done.output
    assert "no drift in 1 stratum" in done.stderr


def test_drift_is_1_with_a_report_and_one_line_of_json(storage: str, tmp_path: Path) -> None:
    done = check(storage, {"brightness": -4.0}, "--json", "--report", str(tmp_path / "drift.html"))
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["verdict"], found["alert"]["state"], found["alert"]["record"]) == ("drift", "recorded", 3)
    assert found["alert"]["cause_id"].startswith("drift-")
    assert "brightness fell" in (tmp_path / "drift.html").read_text()
    again = call("check", "--storage", storage, "--until", "2026-05-01T12:10:00+00:00", *SMALL, "--json", "--job")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["alert"]["state"] == "known"


def test_too_little_is_3(storage: str) -> None:
    done = call("check", "--storage", storage, "--until", "2026-07-01", *SMALL)
    assert done.exit_code == 3
    assert "no pictures" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--mode", "oracle"), "calibrated or textbook"),
        (("--min-reference", "200"), "at least 3 windows"),
        (("--act", "pray"), "pray"),
        (("--reference", "/nowhere"), "holds no reference.parquet"),
    ],
)
def test_wrong_options_are_one_sentence(storage: str, arguments: tuple[str, ...], words: str) -> None:
    done = call("check", "--storage", storage, *SMALL, *arguments)
    assert isinstance(done.exception, InputError)
    assert words in str(done.exception)


def test_the_finding_is_shown_even_when_acting_on_it_fails(storage: str) -> None:
    done = check(storage, {"brightness": -4.0}, "--act", "local", "--json")
    assert isinstance(done.exception, InputError)
    assert "nothing says what to train on" in str(done.exception)
    assert json.loads(done.stdout)["alert"]["state"] == "recorded"


def test_acting_on_an_alert_asks_people_first(storage: str, tmp_path: Path) -> None:
    done = check(
        storage, {"brightness": -1.5}, "--act", "local", "--data", str(tmp_path), "--json", "--deployment", "street"
    )
    found = json.loads(done.stdout)
    assert found["alert"]["state"] == "recorded"
    assert [one["cause"] for one in found["retraining"]] == [found["alert"]["cause_id"]]
    actions = [record.draft.action.value for record in open_registry(storage).ledger.records()]
    assert actions[-2] == "drift"


def test_a_confirmed_alert_starts_one_run_at_kfp(storage: str, tmp_path: Path) -> None:
    config = tmp_path / "retrain.yaml"
    policy = "policy: {on_alert: retrain}\nparameters: {data_sources: ['s3://b/train.zip']}\n"
    with serving(KfpStub()) as stub:
        config.write_text(f"{policy}kfp: {{endpoint: '{stub.url}'}}\n")
        client_of(KfpConfig(endpoint=stub.url)).upload_version("belisha-training", b"pipelineInfo: {name: p}\n")
        found = [
            check(storage, {"brightness": -1.5}, "--act", "kfp", "--config", str(config), "--json") for _ in range(2)
        ]
        (run,) = stub.runs.values()
        assert stub.complaints == []
    first, again = (json.loads(done.stdout) for done in found)
    assert run["display_name"] == f"retrain-{first['alert']['cause_id']}"
    assert [one["step"] for one in first["retraining"]] == ["start"]
    assert [one["step"] for one in again["retraining"]] == ["wait"]


def test_an_error_is_told_to_prometheus_and_a_dead_gateway_hides_nothing(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELISHA_PUSHGATEWAY", "http://127.0.0.1:9")
    done = check(storage, {})
    assert done.exit_code == 0
    assert "did not take the metrics" in done.stderr
    open_store(storage).write("requests/date=2026-05-01/hour=12/broken.parquet", b"no Parquet")
    broken = check(storage, {})
    assert not isinstance(broken.exception, StorageError)
    assert "damaged shard" in str(broken.exception)


def test_the_reference_in_force_is_shown(storage: str) -> None:
    done = call("reference", "--storage", storage)
    assert done.exit_code == 0
    assert "of v1 is in force: 1000 pictures of 1 cameras from the log" in done.stderr
