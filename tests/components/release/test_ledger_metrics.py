"""The ledger as metrics: pure figures, a page that outlives a store that is away, and the real process."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from belisha.components.release.ledger_metrics import LedgerFigures, LedgerMetrics, ledger_figures
from belisha.components.route.traffic import split_traffic
from belisha.components.shared.errors import StorageError
from belisha.components.shared.ledger import Action, Draft, LedgerState, Record
from tests.release_folders import release_one

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
ALONE, TRIAL = LedgerState("v1"), LedgerState("v1", "v2", 0.2)


def history(*steps: tuple[Action, str, LedgerState, dict[str, str]]) -> list[Record]:
    """Records an hour apart."""
    return [
        Record(
            number, BEGIN + timedelta(hours=number), "test", Draft(action, subject, "", state, details=dict(details))
        )
        for number, (action, subject, state, details) in enumerate(steps, start=1)
    ]


def samples(page: bytes) -> dict[tuple[str, ...], float]:
    """Name and values of the labels other than deployment_name."""
    return {
        (one.name, *(value for label, value in sorted(one.labels.items()) if label != "deployment_name")): one.value
        for family in text_string_to_metric_families(page.decode())
        for one in family.samples
    }


def test_an_empty_ledger_has_no_roles() -> None:
    assert ledger_figures([]) == LedgerFigures()


@pytest.mark.parametrize(
    ("state", "traffic"),
    [
        (LedgerState(), {}),
        (ALONE, {"v1": 1.0}),
        (TRIAL, {"v1": 0.8, "v2": 0.2}),
        (LedgerState("v1", "v2"), {"v1": 1, "v2": 0}),
    ],
)
def test_roles_and_shares_are_those_of_the_last_record(state: LedgerState, traffic: dict[str, float]) -> None:
    figures = ledger_figures(history((Action.PROMOTE, "v0", LedgerState("v0"), {}), (Action.TRAFFIC, "v2", state, {})))
    assert dict(figures.traffic_ratio) == traffic
    assert set(figures.roles) == set(traffic)


def test_records_are_counted_and_the_newest_of_each_action_kept() -> None:
    figures = ledger_figures(
        history(
            (Action.REGISTER, "v1", LedgerState(), {"verdict": "PASS"}),
            (Action.REGISTER, "v2", ALONE, {"verdict": "FAIL"}),
            (Action.REGISTER, "v3", ALONE, {"verdict": "FAIL"}),
        )
    )
    assert figures.candidates == {"PASS": 1, "FAIL": 2}
    assert figures.last == {"register": ("v3", BEGIN + timedelta(hours=3))}
    assert figures.records == {"register": 3}


DRIFT, PROMOTE, BACK = ((action, "v1", ALONE, {}) for action in (Action.DRIFT, Action.PROMOTE, Action.ROLLBACK))
STEP = (Action.EXPERIMENT, "v2", TRIAL, {"event": "step"})
JUDGED_BETTER = (Action.EXPERIMENT, "v2", LedgerState("v2"), {"event": "promote"})
JUDGED_WORSE = (Action.EXPERIMENT, "v2", ALONE, {"event": "stop"})


@pytest.mark.parametrize(
    ("steps", "hours", "waits_since"),
    [
        ((PROMOTE,), None, None),
        ((DRIFT,), None, 1),
        ((DRIFT, DRIFT, PROMOTE), 2, None),
        ((DRIFT, BACK), None, 1),
        ((DRIFT, STEP, JUDGED_BETTER), 2, None),
        ((DRIFT, STEP, JUDGED_WORSE), None, 1),
        ((DRIFT, PROMOTE, PROMOTE, DRIFT), 1, 4),
    ],
)
def test_the_loop_is_timed_from_the_first_alert_to_the_promotion(
    steps: Sequence[tuple[Action, str, LedgerState, dict[str, str]]], hours: int | None, waits_since: int | None
) -> None:
    figures = ledger_figures(history(*steps))
    assert figures.drift_to_champion_seconds == (None if hours is None else 3600 * hours)
    assert figures.drift_since == (None if waits_since is None else BEGIN + timedelta(hours=waits_since))


def test_what_was_read_holds_while_the_store_is_away() -> None:
    answers: list[list[Record] | Exception] = [history((Action.PROMOTE, "v1", ALONE, {})), StorageError("away")]

    def read() -> list[Record]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    metrics = LedgerMetrics(read, "crossing", read_again_seconds=0)
    first, second = samples(metrics.exposition()), samples(metrics.exposition())
    assert first["belisha_ledger_readable",] == 1
    assert (second["belisha_ledger_readable",], second["belisha_ledger_read_failures_total",]) == (0, 1)
    role = ("belisha_ledger_role_info", "v1", "champion")
    assert first[role] == second[role] == 1
    assert first["belisha_ledger_records_total", "promote"] == 1
    assert first["belisha_ledger_candidates_total", "FAIL"] == 0


def test_it_is_read_once_within_the_time_and_never_waited_for_longer() -> None:
    release, calls = threading.Event(), []

    def read() -> list[Record]:
        calls.append(1)
        release.wait(30)
        return history((Action.PROMOTE, "v1", ALONE, {}))

    metrics = LedgerMetrics(read, read_again_seconds=3600, most_seconds=0.01)
    assert samples(metrics.exposition())["belisha_ledger_readable",] == 0
    assert samples(metrics.exposition())["belisha_ledger_readable",] == 0
    assert len(calls) == 1, "a reading that hangs is not asked again"
    release.set()
    while not samples(metrics.exposition())["belisha_ledger_readable",]:
        pass
    metrics.exposition()
    assert len(calls) == 1


def test_the_real_exporter_follows_the_ledger_and_a_store_that_goes(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    release_one(tmp_path, str(storage))
    release_one(tmp_path, str(storage), champion="v1", gain=0.9)
    split_traffic(str(storage), 0.25, reason="test")
    command = [sys.executable, "-m", "belisha.cli.main", "exporter", "--storage", str(storage), "--port", "0", "--json"]
    process = subprocess.Popen([*command, "--deployment", "crossing"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        page = urllib.request.urlopen(url).read()
        found = samples(page)
        assert b'deployment_name="crossing"' in page
        assert found["belisha_ledger_role_info", "v2", "challenger"] == 1
        assert found["belisha_ledger_traffic_ratio", "v1"] == 0.75
        assert found["belisha_ledger_candidates_total", "PASS"] == 2
        shutil.rmtree(storage)
        (storage.parent / "storage").write_text("in the way")
        while samples(urllib.request.urlopen(url).read())["belisha_ledger_readable",]:
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
