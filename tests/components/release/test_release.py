"""Release, promotion and rollback end to end on every backend: evidence kept, nothing recorded twice, no race lost."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest

from belisha.components.release.component import release_model
from belisha.components.release.release import promote, release, rollback
from belisha.components.shared.errors import ContractError, DigestError, InputError
from belisha.components.shared.files import write_json
from belisha.components.shared.ledger import Action, LedgerState
from belisha.components.shared.registry import open_registry
from tests.release_folders import Folders, release_one, write_folders


@pytest.fixture(params=["file", "memory", "s3"])
def storage_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return f"{request.getfixturevalue('s3_uri')}/belisha"
    return str(tmp_path / "storage") if request.param == "file" else f"memory://{uuid.uuid4().hex}"


def release_folders(folders: Folders, storage_uri: str, run_id: str = "r") -> str:
    return release(folders.model, folders.evaluation, folders.decision, storage_uri, run_id).version


def test_the_life_of_a_registry(storage_uri: str, tmp_path: Path) -> None:
    first = release_one(tmp_path, storage_uri, gain=1.0)
    assert (first.version, first.action, first.state) == ("v1", Action.PROMOTE, LedgerState("v1"))
    second = release_one(tmp_path, storage_uri, gain=0.9, champion="v1")
    assert (second.version, second.action, second.state) == ("v2", Action.CHALLENGE, LedgerState("v1", "v2"))
    refused = release_one(tmp_path, storage_uri, gain=0.8, champion="v1", verdict="INCONCLUSIVE")
    assert (refused.version, refused.action, refused.state) == ("v3", Action.REFUSE, LedgerState("v1", "v2"))
    promoted = promote(storage_uri, None, reason="won the trial")
    assert (promoted.action, promoted.state) == (Action.PROMOTE, LedgerState("v2"))
    with pytest.raises(InputError, match="v3 did not pass its gates"):
        promote(storage_uri, "v3", reason="please")
    assert promote(storage_uri, "v3", reason="cameras moved", force=True).state == LedgerState("v3")
    assert rollback(storage_uri, reason="worse at night").state == LedgerState("v2")
    assert rollback(storage_uri, reason="").state == LedgerState("v1")
    with pytest.raises(InputError, match="v1 is the first champion"):
        rollback(storage_uri, reason="")
    records = open_registry(storage_uri).ledger.records()
    assert [record.draft.action.value for record in records] == [
        "register", "promote", "register", "challenge", "register", "refuse", "promote", "promote", "rollback", "rollback",
    ]  # fmt: skip
    assert "cameras moved" in records[7].draft.reason


def test_releasing_again_adds_nothing(storage_uri: str, tmp_path: Path) -> None:
    first = release_one(tmp_path, storage_uri, gain=1.0)
    again = release_one(tmp_path, storage_uri, gain=1.0)
    assert again == first
    assert len(open_registry(storage_uri).ledger.records()) == 2


def test_the_same_model_of_another_run_is_another_version(tmp_path: Path) -> None:
    folders = write_folders(tmp_path / "a")
    assert release_folders(folders, str(tmp_path / "s"), "r1") == "v1"
    assert release_folders(folders, str(tmp_path / "s"), "r2") == "v2"


def test_a_release_killed_between_upload_and_ledger_is_finished(tmp_path: Path) -> None:
    storage_uri = str(tmp_path / "s")
    before = release_one(tmp_path, storage_uri)
    for lost in (1, 2):
        for number in range(3 - lost, 3):
            (tmp_path / f"s/registry/ledger/{number:08d}.json").unlink()
        assert release_one(tmp_path, storage_uri) == before


def test_the_evidence_is_kept_with_the_model(tmp_path: Path) -> None:
    release_one(tmp_path, str(tmp_path / "s"), verdict="FAIL")
    registry = open_registry(str(tmp_path / "s"))
    version = registry.version("v1")
    assert version.verdict == "FAIL" and version.metrics == {"ap50": 0.75, "ap50_95": 0.5}
    assert b"\xc3\xb6" in registry.read_file(version, "evaluation/report.html")
    assert registry.ledger.records()[-1].draft.evidence_digest == version.decision_digest


def test_a_decision_about_another_model_is_refused(tmp_path: Path) -> None:
    good, other = write_folders(tmp_path / "a"), write_folders(tmp_path / "b", gain=0.5)
    with pytest.raises(ContractError, match=r"is about model .* compare this model first"):
        release(good.model, good.evaluation, other.decision, str(tmp_path / "s"), "r")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("missing", ["model/model.json", "evaluation/metrics.json", "decision/decision.json"])
def test_missing_files_are_sentences_and_leave_nothing(missing: str, tmp_path: Path) -> None:
    folders = write_folders(tmp_path / "a")
    (tmp_path / "a" / missing).unlink()
    with pytest.raises(ContractError, match="does not exist"):
        release_folders(folders, str(tmp_path / "s"))
    assert not (tmp_path / "s").exists()


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    folders = write_folders(tmp_path / "a")
    (folders.model / "model.onnx").write_bytes(b"rot")
    with pytest.raises(DigestError):
        release_folders(folders, str(tmp_path / "s"))


@pytest.mark.parametrize("verdict", ["pass", None, "MAYBE", 3])
def test_an_unknown_verdict_is_no_pass(verdict: object, tmp_path: Path) -> None:
    folders = write_folders(tmp_path / "a")
    decision = {"schema": "belisha.decision/1", "verdict": verdict, "model_digest": folders.model_digest}
    write_json(folders.decision / "decision.json", decision)
    with pytest.raises(ContractError, match="expected one of PASS"):
        release_folders(folders, str(tmp_path / "s"))


def test_one_of_many_racing_first_releases_becomes_champion(tmp_path: Path) -> None:
    uri = f"memory://{uuid.uuid4().hex}"
    folders = [write_folders(tmp_path / str(index), gain=1 + index) for index in range(8)]
    threads = [
        threading.Thread(target=release_folders, args=(each, uri, f"r{index}")) for index, each in enumerate(folders)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    actions = [record.draft.action for record in open_registry(uri).ledger.records()]
    assert actions.count(Action.REGISTER) == 8
    assert actions.count(Action.PROMOTE) == 1 and actions.count(Action.REFUSE) == 7


def test_promotion_by_number_is_compare_and_swap(tmp_path: Path) -> None:
    storage_uri = str(tmp_path / "s")
    release_one(tmp_path, storage_uri, gain=1.0)
    last = release_one(tmp_path, storage_uri, gain=0.9, champion="v1").record
    rollback(storage_uri, reason="", expect_record=last)
    with pytest.raises(InputError, match=f"is {last + 1}, expected {last}"):
        promote(storage_uri, "v2", reason="", expect_record=last)


def test_promoting_without_a_challenger_says_what_to_do(tmp_path: Path) -> None:
    release_one(tmp_path, str(tmp_path / "s"))
    with pytest.raises(InputError, match="name a version"):
        promote(str(tmp_path / "s"), None, reason="")
    assert promote(str(tmp_path / "s"), "v1", reason="").action is None


class _At:
    def __init__(self, path: Path) -> None:
        self.path = str(path)


def test_the_component_calls_it_and_may_run_again(tmp_path: Path) -> None:
    folders = write_folders(tmp_path / "a")
    artifacts = {name: _At(getattr(folders, name)) for name in ("model", "evaluation", "decision")}
    for run_id in ("", "job-1"):
        said = release_model.python_func(**artifacts, storage_uri=str(tmp_path / "s"), run_id=run_id, job_id="job-1")
        assert said.startswith("v1 became champion, the first one")
    assert open_registry(str(tmp_path / "s")).version("v1").run_id == "job-1"
