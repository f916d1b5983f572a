"""A whole check on a real store: evidence in, a record and its evidence out; races, resumption, what does not count."""

from __future__ import annotations

import concurrent.futures
import json
from dataclasses import replace
from pathlib import Path

import pytest

from belisha.components.experiment.experiment import Check, judge_experiment, look
from belisha.components.experiment.judge import ExperimentVerdict
from belisha.components.experiment.metrics import metrics_of
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.experiment.sources import Sources
from belisha.components.release.policy import champions_before
from belisha.components.shared.errors import ConflictError, InputError
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.ledger import Action, Ledger, LedgerState
from belisha.components.shared.review_queue import Pick
from belisha.components.shared.review_samples import Reason
from tests.components.experiment.experimenting import QUICK, Lab
from tests.components.experiment.metric_servers import FakeGateway, running


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "storage")


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


def check(
    lab: Lab, gateway: FakeGateway | None = None, settings: ExperimentSettings = QUICK, **options: object
) -> Check:
    out = Path(lab.uri).parent / "check"
    with running(gateway) as url:
        sources = Sources(lab.uri, gateway_url=url)
        return judge_experiment(sources, settings, out, clock=lab.clock, **options)  # type: ignore[arg-type]


def traffic(lab: Lab, gateway: FakeGateway, champion: int = 200, challenger: int = 200) -> None:
    lab.log(champion, challenger)
    gateway.answered += challenger


def test_from_the_first_look_to_the_promotion(lab: Lab, gateway: FakeGateway) -> None:
    assert check(lab, gateway).record == 3
    assert lab.state.challenger_traffic_ratio == 0.05
    traffic(lab, gateway, 3800, 200)
    waiting = check(lab, gateway)
    assert (waiting.record, waiting.exit_code) == (None, 3), "traffic alone proves nothing"
    lab.review(wins=8, losses=1)
    assert check(lab, gateway).judgement.missing == (  # type: ignore[union-attr]
        "9 of 10 disagreements are decided by reviewed pictures",
    )
    lab.review(wins=14, losses=2)
    for share, (champion, challenger) in ((0.25, (600, 200)), (0.5, (200, 200))):
        assert check(lab, gateway).record is not None
        assert lab.state == LedgerState("v1", "v2", share)
        traffic(lab, gateway, champion, challenger)
    last = check(lab, gateway)
    assert (last.exit_code, last.judgement and last.judgement.verdict) == (0, ExperimentVerdict.PROMOTE)
    assert lab.state == LedgerState("v2")
    assert [record.draft.action for record in lab.records[2:]] == [Action.EXPERIMENT] * 4
    assert check(lab, gateway).judgement is None, "afterwards there is nothing to judge"
    assert champions_before(lab.records) == ["v1"], "so a rollback goes back to it"


def test_each_record_has_its_evidence(lab: Lab, gateway: FakeGateway) -> None:
    found = check(lab, gateway)
    draft = lab.records[-1].draft
    data = lab.store.read(draft.details["evidence"])
    assert sha256_hex(data) == draft.evidence_digest
    value = json.loads(data)
    assert (value["schema"], value["event"], value["ledger_record"]) == ("belisha.experiment/1", "step", 2)
    assert value["state_after"]["challenger_traffic_ratio"] == 0.05
    page = lab.store.read(draft.details["evidence"].replace("experiment.json", "report.html")).decode()
    assert "0 % to 5 %" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert found.evidence_uri.endswith(draft.evidence_digest)
    assert draft.reason == found.sentence


@pytest.mark.parametrize("broken", ["errors", "latency", "worse"])
def test_harm_is_taken_out_by_the_next_check(lab: Lab, gateway: FakeGateway, broken: str) -> None:
    check(lab, gateway)
    traffic(lab, gateway, 3800, 200)
    assert check(lab, gateway).record is None
    if broken == "errors":
        gateway.failed += 4
    elif broken == "latency":
        lab.log(950, 50, latency=(0.05, 3.0))
    else:
        lab.review(wins=1, losses=14)
    found = check(lab, gateway)
    assert (found.exit_code, lab.state) == (1, LedgerState("v1"))
    assert lab.records[-1].draft.details["event"] == "stop"
    assert lab.records[-1].draft.subject == "v2"


def test_an_outage_does_not_drown_in_a_long_calm(lab: Lab, gateway: FakeGateway) -> None:
    check(lab, gateway)
    gateway.answered = 1_000_000
    assert check(lab, gateway).exit_code == 3
    gateway.answered, gateway.failed = 1_000_010, 10
    assert check(lab, gateway).exit_code == 1


def test_a_gateway_that_began_anew_is_counted_from_zero(lab: Lab, gateway: FakeGateway) -> None:
    check(lab, gateway)
    gateway.answered, gateway.failed = 100_000, 10
    assert check(lab, gateway).exit_code == 3
    gateway.answered, gateway.failed = 2, 4
    assert check(lab, gateway).exit_code == 1


def test_no_gateway_no_data_no_step(lab: Lab) -> None:
    check(lab)
    lab.log(3800, 200)
    lab.review(wins=30)
    found = check(lab)
    assert found.record is None
    assert any("no data" in sentence and "--prometheus" in sentence for sentence in found.judgement.missing)  # type: ignore[union-attr]


def test_a_gateway_that_is_away_is_no_data(lab: Lab) -> None:
    lab.split(0.05)
    sources = Sources(lab.uri, gateway_url="http://127.0.0.1:9")
    found = look(sources, QUICK, clock=lab.clock)
    assert any("gave no answer" in sentence for sentence in found.judgement.missing)  # type: ignore[union-attr]


def test_an_invalid_test_pauses_and_begins_anew(lab: Lab, gateway: FakeGateway) -> None:
    lab.review(wins=3)
    check(lab, gateway)
    traffic(lab, gateway, 500, 500)
    assert check(lab, gateway).exit_code == 1
    assert lab.state == LedgerState("v1", "v2", 0.0)
    assert check(lab, gateway).record is None, "and it waits for a person"
    lab.clock.forward(60)
    resumed = check(lab, gateway, resume=True)
    assert lab.state.challenger_traffic_ratio == 0.05
    assert [record.draft.details["event"] for record in lab.records[2:]] == ["step", "pause", "resume", "step"]
    assert resumed.gathered is not None and dict(resumed.gathered.left_out) == {"older than the experiment": 3}


def test_a_hand_on_the_share_holds_until_it_is_handed_back(lab: Lab, gateway: FakeGateway) -> None:
    check(lab, gateway)
    lab.split(0.25, actor="bob")
    lab.review(wins=40)
    traffic(lab, gateway, 600, 200)
    held = check(lab, gateway)
    assert held.record is None and "bob set the share to 25 % by hand" in held.sentence
    check(lab, gateway, resume=True)
    assert lab.state.challenger_traffic_ratio == 0.5
    with pytest.raises(InputError, match="has the share of v2 already"):
        check(lab, gateway, resume=True)


def test_judges_that_race_make_one_step(lab: Lab, gateway: FakeGateway) -> None:
    def one(number: int) -> str:
        sources = Sources(lab.uri)
        try:
            found = judge_experiment(sources, QUICK, Path(lab.uri).parent / f"check-{number}", clock=lab.clock)
        except ConflictError:
            return "too late"
        return "stepped" if found.record else "waited"

    with concurrent.futures.ThreadPoolExecutor(6) as judges:
        results = list(judges.map(one, range(6)))
    assert results.count("stepped") == 1, results
    assert len(lab.records) == 3


def test_a_step_is_refused_when_its_ground_has_moved(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading and writing somebody else changes the share; a look at a test part would not matter."""
    from belisha.components.experiment import experiment as module

    real, moved = module.write_check, []

    def meanwhile(folder: Path, found: Check) -> str:
        action = Action.TEST_LOOK if not moved else Action.TRAFFIC
        moved.append(action)
        ratio = 0.0 if action is Action.TEST_LOOK else 0.1
        lab.write(action, "v2", LedgerState("v1", "v2", ratio))
        return real(folder, found)

    monkeypatch.setattr(module, "write_check", meanwhile)
    assert check(lab).record == 4
    lab.write(Action.CHALLENGE, "v3", LedgerState("v1", "v3", 0.0))
    lab.write(Action.CHALLENGE, "v2", LedgerState("v1", "v2", 0.0))
    before = len(lab.records)
    with pytest.raises(ConflictError, match="changed while it was judged"):
        check(lab)
    assert len(lab.records) == before + 1
    assert not lab.store.exists(f"experiments/v1-v2-{before:08d}/last_check.json"), "who came too late leaves no memory"


def test_a_judge_that_is_killed_before_its_record_has_done_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its evidence may lie there already; the next check takes the step, once."""
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            check(lab)
    assert len(lab.records) == 2 and list(lab.store.list("experiments"))
    assert (check(lab).record, len(lab.records)) == (3, 3)
    assert lab.store.exists(lab.records[-1].draft.details["evidence"])


def killed(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


def test_the_same_on_an_object_store(s3_uri: str, tmp_path: Path) -> None:
    lab = Lab(f"{s3_uri}/belisha")
    sources = Sources(lab.uri)
    assert judge_experiment(sources, QUICK, tmp_path / "out", clock=lab.clock).record == 3
    lab.log(3800, 200)
    lab.review(wins=3)
    found = judge_experiment(sources, QUICK, tmp_path / "out", clock=lab.clock)
    assert found.gathered is not None and found.gathered.evidence.tally.wins == 3
    assert found.gathered.evidence.challenger_answers == 200
    with concurrent.futures.ThreadPoolExecutor(3) as judges:
        lab.write(Action.CHALLENGE, "v3", LedgerState("v1", "v3", 0.0))
        folders = [tmp_path / f"race-{number}" for number in range(3)]
        races = [judges.submit(judge_experiment, sources, QUICK, folder, clock=lab.clock) for folder in folders]
        errors = [one.exception() for one in races]
    assert all(error is None or isinstance(error, ConflictError) for error in errors)
    assert sum(record.draft.details.get("event") == "step" for record in lab.records) == 2


def test_an_old_record_is_refused(lab: Lab) -> None:
    with pytest.raises(InputError, match="last record is 2, expected 1"):
        check(lab, expect_record=1)
    assert check(lab, expect_record=2).record == 3


def test_which_reviewed_pictures_count(lab: Lab, gateway: FakeGateway) -> None:
    lab.clock.forward(60)
    lab.review(wins=2, kept_for=Reason.UNCERTAIN)
    lab.review(wins=1, at=lab.records[0].at.replace(year=2025))
    lab.review(wins=1, answered=False)
    lab.review(wins=3, answered=False, pick=Pick.UNIFORM)
    lab.review(wins=2, losses=1, pick=Pick.UNIFORM, camera="other")
    found = check(lab, gateway).gathered
    assert found is not None
    assert (found.evidence.tally.wins, found.evidence.tally.losses) == (2, 1)
    assert dict(found.left_out) == {
        "kept because one model was undecided": 2,
        "older than the experiment": 1,
        "chosen as disagreement by one model's answer alone": 1,
        "a model that did not answer it could not be run on it": 3,
    }
    near = look(Sources(lab.uri), replace(QUICK, min_picture_seconds=30.0), clock=lab.clock).gathered
    assert near is not None and near.evidence.tally.decided == 1


def test_status_changes_nothing_and_asks_what_the_judge_asked(lab: Lab, gateway: FakeGateway) -> None:
    check(lab, gateway, replace(QUICK, min_requests=77))
    traffic(lab, gateway, 1000, 50)
    check(lab, gateway, replace(QUICK, min_requests=77))
    before = {key: lab.store.read(key) for key in lab.store.list("")}
    found = look(Sources(lab.uri), clock=lab.clock)
    assert any("50 of 77" in sentence for sentence in found.judgement.missing)  # type: ignore[union-attr]
    assert {key: lab.store.read(key) for key in lab.store.list("")} == before
    json.dumps(found.to_json(), allow_nan=False)


def test_a_damaged_memory_is_no_memory(lab: Lab, gateway: FakeGateway) -> None:
    check(lab, gateway)
    lab.store.write("experiments/v1-v2-00000002/last_check.json", b"{")
    assert check(lab, gateway).exit_code == 3


def test_metrics_of_a_check(lab: Lab, gateway: FakeGateway) -> None:
    check(lab, gateway)
    traffic(lab, gateway, 3800, 200)
    lab.review(wins=6, losses=2, ties=3)
    page = metrics_of(check(lab, gateway), "belisha").exposition().decode()
    for line in (
        'belisha_experiment_verdict{verdict="CONTINUE"} 1.0',
        'belisha_experiment_verdict{verdict="STOP"} 0.0',
        "belisha_experiment_share_ratio 0.05",
        'belisha_experiment_win_ratio{bound="estimate"} 0.75',
        'belisha_experiment_samples{kind="decided"} 8.0',
        'belisha_experiment_samples{kind="ties"} 3.0',
        'belisha_experiment_required_samples{kind="decided"} 10.0',
    ):
        assert line in page, page
    lab.write(Action.ROLLBACK, "v2", LedgerState("v1"))
    assert "belisha_experiment_share_ratio 0.0" in metrics_of(check(lab), "belisha").exposition().decode()
