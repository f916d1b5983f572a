"""Who serves after each step, as tables over the pure policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from belisha.components.release.policy import champions_before, outcome, promotion, registration, rollback, share
from belisha.components.shared.errors import InputError
from belisha.components.shared.ledger import Action, Draft, LedgerState, Record
from belisha.components.shared.registry import ModelVersion

NONE, V1, V1_V2 = LedgerState(), LedgerState("v1"), LedgerState("v1", "v2", 0.2)


def version(name: str, verdict: str = "PASS", champion: str = "") -> ModelVersion:
    return ModelVersion(name, "m" * 64, f"run-{name}", verdict, "a sentence", champion, "d" * 64, "", "", "", "")


def history(*steps: tuple[Action, str | None]) -> list[Record]:
    return [
        Record(number, datetime(2026, 1, 1, tzinfo=UTC), "ann", Draft(action, "x", "", LedgerState(champion)))
        for number, (action, champion) in enumerate(steps, start=1)
    ]


@pytest.mark.parametrize(
    ("case", "state", "candidate", "action", "after"),
    [
        ("first pass", NONE, version("v1"), Action.PROMOTE, LedgerState("v1")),
        ("pass beside a champion", V1, version("v2", champion="v1"), Action.CHALLENGE, LedgerState("v1", "v2", 0.0)),
        (
            "pass replaces a challenger",
            V1_V2,
            version("v3", champion="v1"),
            Action.CHALLENGE,
            LedgerState("v1", "v3", 0.0),
        ),
        ("inconclusive", V1, version("v2", "INCONCLUSIVE", "v1"), Action.REFUSE, V1),
        ("fail keeps the trial", V1_V2, version("v3", "FAIL", "v1"), Action.REFUSE, V1_V2),
        ("error", NONE, version("v1", "ERROR"), Action.REFUSE, NONE),
        ("compared with an old champion", V1, version("v3", champion="v0"), Action.REFUSE, V1),
        ("compared with none, now there is one", V1, version("v2"), Action.REFUSE, V1),
        ("compared with one that is gone", NONE, version("v2", champion="v1"), Action.REFUSE, NONE),
    ],
)
def test_what_a_release_becomes(
    case: str, state: LedgerState, candidate: ModelVersion, action: Action, after: LedgerState
) -> None:
    draft = outcome([], state, candidate)
    assert draft is not None
    assert (draft.action, draft.state) == (action, after)
    assert candidate.version in draft.reason and draft.evidence_digest == candidate.decision_digest


def test_a_release_is_decided_once() -> None:
    first = registration([], NONE, version("v1"))
    assert first is not None
    records = [Record(1, datetime(2026, 1, 1, tzinfo=UTC), "ann", first)]
    assert registration(records, NONE, version("v1")) is None
    decided = outcome(records, NONE, version("v1"))
    assert decided is not None
    records.append(Record(2, datetime(2026, 1, 1, tzinfo=UTC), "ann", decided))
    assert outcome(records, decided.state, version("v1")) is None
    assert outcome(records, LedgerState("v9"), version("v1")) is None


@pytest.mark.parametrize(
    ("case", "state", "name", "after", "words"),
    [
        ("challenger", V1_V2, "v2", LedgerState("v2"), "v1 was champion before"),
        ("another ends the trial", V1_V2, "v3", LedgerState("v3"), "the trial of v2 ended"),
        ("first", NONE, "v1", LedgerState("v1"), "there was no champion before"),
    ],
)
def test_promotion(case: str, state: LedgerState, name: str, after: LedgerState, words: str) -> None:
    move = promotion(state, version(name), "won the trial", force=False)
    assert move.draft is not None and move.draft.state == after
    assert words in move.sentence
    assert "won the trial" in move.draft.reason


def test_promoting_the_champion_changes_nothing() -> None:
    assert promotion(V1, version("v1"), "", force=False).draft is None


@pytest.mark.parametrize("verdict", ["INCONCLUSIVE", "FAIL", "ERROR"])
def test_what_did_not_pass_needs_force_and_a_reason(verdict: str) -> None:
    with pytest.raises(InputError, match=f"did not pass its gates \\({verdict}"):
        promotion(V1, version("v2", verdict), "because", force=False)
    with pytest.raises(InputError, match="add --reason"):
        promotion(V1, version("v2", verdict), "", force=True)
    move = promotion(V1, version("v2", verdict), "because", force=True)
    assert move.draft is not None and "against its gates" in move.draft.reason


P, R, L = Action.PROMOTE, Action.ROLLBACK, Action.TEST_LOOK


@pytest.mark.parametrize(
    ("case", "steps", "before"),
    [
        ("nothing", [], []),
        ("no champion yet", [(L, None)], []),
        ("one", [(P, "v1")], []),
        ("two", [(P, "v1"), (L, "v1"), (P, "v2")], ["v1"]),
        ("rolled back", [(P, "v1"), (P, "v2"), (R, "v1")], []),
        ("rolled back twice", [(P, "v1"), (P, "v2"), (P, "v3"), (R, "v2"), (R, "v1")], []),
        ("rolled back and on", [(P, "v1"), (P, "v2"), (R, "v1"), (P, "v3")], ["v1"]),
        ("an old one promoted again", [(P, "v1"), (P, "v2"), (P, "v1")], ["v2"]),
        ("trial ended", [(P, "v1"), (P, "v2"), (R, "v2")], ["v1"]),
    ],
)
def test_champions_before(case: str, steps: list[tuple[Action, str | None]], before: list[str]) -> None:
    assert champions_before(history(*steps)) == before


def test_rollback_ends_the_trial_first() -> None:
    move = rollback(history((P, "v0"), (P, "v1")), V1_V2, "too slow")
    assert move.draft is not None and move.draft.state == LedgerState("v1") and move.draft.subject == "v2"
    assert move.sentence == "the trial of v2 ended; v1 stays champion"


def test_rollback_restores_the_champion_before() -> None:
    move = rollback(history((P, "v0"), (P, "v1")), V1, "")
    assert move.draft is not None and move.draft.state == LedgerState("v0")
    assert move.sentence == "v0 is champion again; v1 was withdrawn"


@pytest.mark.parametrize(("state", "words"), [(NONE, "release a model first"), (V1, "v1 is the first champion")])
def test_rollback_with_nothing_to_go_back_to(state: LedgerState, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rollback(history((P, "v1")), state, "")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        pytest.param(
            "FAIL against champion v1: too slow", "v1 was refused: FAIL against champion v1: too slow", id="own"
        ),
        pytest.param("too slow", "v1 was refused: FAIL: too slow", id="another's"),
        pytest.param("", "v1 was refused: FAIL", id="none"),
    ],
)
def test_a_refusal_says_its_verdict_once(sentence: str, expected: str) -> None:
    refused = replace(version("v1", "FAIL"), sentence=sentence)
    draft = outcome([], NONE, refused)
    assert draft is not None
    assert draft.reason == expected


@pytest.mark.parametrize(
    ("state", "ratio", "after"),
    [
        (V1_V2, 0.5, LedgerState("v1", "v2", 0.5)),
        (V1_V2, 0.0, LedgerState("v1", "v2", 0.0)),
        (V1_V2, 0.2, None),
    ],
    ids=["more", "nothing", "the same"],
)
def test_share(state: LedgerState, ratio: float, after: LedgerState | None) -> None:
    move = share(state, ratio, "asked")
    assert (move.draft.state if move.draft else None) == after
    assert move.draft is None or (move.draft.action is Action.TRAFFIC and move.draft.reason.endswith(": asked"))


@pytest.mark.parametrize(
    ("state", "ratio", "message"),
    [
        (V1, 0.2, "no challenger beside v1"),
        (NONE, 0.2, "no challenger beside nobody"),
        (V1_V2, 1.1, "expected 0 to 1"),
        (V1_V2, -0.1, "expected 0 to 1"),
    ],
)
def test_a_share_for_nobody_or_of_nonsense_is_refused(state: LedgerState, ratio: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        share(state, ratio, "")
