"""The release controller against an API server and Seldon's operator, over real HTTP with the official client.

The server and the operator are stand-ins that keep the rules which Kubernetes' own API machinery and Seldon's operator 1.17.1
were seen to keep; the answers in `recorded/` are theirs.
"""

from __future__ import annotations

import pytest

from belisha.components.release.apply import ApplyOutcome, follow
from belisha.components.release.release import rollback, split
from belisha.components.shared.errors import ClusterError, InputError
from belisha.components.shared.kube_api import ForbiddenError
from belisha.components.shared.registry import open_registry
from belisha.components.shared.verdict import Verdict
from tests.kube.api_server import Key, KubeServer, Request
from tests.kube.release_world import (
    KilledError,
    actions,
    applier,
    apply,
    decide,
    details_of_last,
    on_trial,
    template,
)
from tests.kube.seldon_world import DEPLOYMENTS, SELDON, SeldonWorld


def test_the_whole_way_from_first_release_to_promotion(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    decide(storage, "v1")
    assert apply(server, storage).steps == ("v1 is started as champion",)
    decide(storage, "v1", "v2", 0.2)
    assert apply(server, storage).steps == ("v2 is started without traffic", "shares become v1 80 % and v2 20 %")
    assert world.weights() == {"y-v1": 80, "y-v2": 20}
    before = {name: one["metadata"]["generation"] for name, one in world.deployments().items()}
    decide(storage, "v2")
    outcome = apply(server, storage)
    assert outcome.steps == ("all requests move from v1 to v2", "v1 goes")
    assert outcome.status.verdict is Verdict.PASS and outcome.status.sentence == "v2 100 % of requests"
    assert world.predictors() == [("y-v2", 100)] and list(world.deployments()) == ["belisha-y-v2-0-detector"]
    after = {name: one["metadata"]["generation"] for name, one in world.deployments().items()}
    assert after["belisha-y-v2-0-detector"] == before["belisha-y-v2-0-detector"], "a promotion restarts nothing"
    assert world.history == [{"y-v1": 100}, {"y-v1": 80, "y-v2": 20}, {"y-v2": 100}]


def test_the_champion_of_before_comes_back_without_a_gap(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    decide(storage, "v2")
    apply(server, storage)
    decide(storage, "v1")
    steps = ("v1 is started without traffic beside v2", "all requests move from v2 to v1", "v2 goes")
    assert apply(server, storage).steps == steps
    assert world.history == [{"y-v2": 100}, {"y-v1": 100}]


def test_applying_again_writes_nothing_and_records_nothing(
    server: KubeServer, world: SeldonWorld, storage: str
) -> None:
    on_trial(server, world, storage, 0.1)
    records, writes = len(actions(storage)), len(server.writes(SELDON))
    again = apply(server, storage)
    assert again.status.verdict is Verdict.PASS and again.steps == ()
    assert (len(actions(storage)), len(server.writes(SELDON))) == (records, writes)


def test_a_crashing_challenger_ends_its_trial_and_never_sees_a_request(
    server: KubeServer, world: SeldonWorld, storage: str
) -> None:
    decide(storage, "v1")
    apply(server, storage)
    world.broken.add("y-v2")
    decide(storage, "v1", "v2", 0.5)
    outcome = apply(server, storage, seconds=0.2)
    assert outcome.status.verdict is Verdict.FAIL
    assert "v2 did not get ready within" in outcome.status.sentence
    assert "container detector is in CrashLoopBackOff, last ended by Error with exit code 3" in outcome.status.sentence
    assert world.predictors() == [("y-v1", 100)] and world.history == [{"y-v1": 100}]
    assert actions(storage)[-2:] == ["rollback", "apply"]
    assert open_registry(storage).ledger.state().challenger is None


def test_a_crashing_challenger_may_be_held_for_a_look(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    decide(storage, "v1")
    apply(server, storage)
    world.broken.add("y-v2")
    decide(storage, "v1", "v2", 0.5)
    outcome = apply(server, storage, seconds=0.2, end_trials=False)
    assert outcome.status.verdict is Verdict.FAIL
    assert world.predictors() == [("y-v1", 100), ("y-v2", 0)] and world.weights() == {"y-v1": 100}


def test_rollback_removes_a_challenger_that_crashes_under_load(
    server: KubeServer, world: SeldonWorld, storage: str
) -> None:
    on_trial(server, world, storage, 0.3)
    world.broken.add("y-v2")
    world.settle()
    rollback(storage, reason="it crashes")
    outcome = apply(server, storage)
    assert outcome.steps == ("v2 goes",) and world.history == [{"y-v1": 100}]


def test_a_share_set_to_nothing_would_not_have_helped(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    """Why a rollback removes: the operator moves no weight while anything is not ready."""
    on_trial(server, world, storage, 0.3)
    world.broken.add("y-v2")
    world.settle()
    split(storage, 0.0, reason="stop it")
    assert apply(server, storage, seconds=0.2, end_trials=False).status.verdict is Verdict.FAIL
    assert world.weights() == {"y-v1": 70, "y-v2": 30}


def test_a_champion_that_does_not_get_ready_leaves_the_one_before(
    server: KubeServer, world: SeldonWorld, storage: str
) -> None:
    decide(storage, "v1")
    apply(server, storage)
    world.broken.add("y-v2")
    decide(storage, "v2")
    outcome = apply(server, storage, seconds=0.2)
    assert outcome.status.verdict is Verdict.FAIL and world.weights() == {"y-v1": 100}
    assert details_of_last(storage)["verdict"] == "FAIL" and actions(storage)[-1] == "apply"
    world.broken.clear()
    assert apply(server, storage).status.verdict is Verdict.PASS
    assert world.weights() == {"y-v2": 100}


def test_a_crashing_champion_is_replaced_though_it_never_gets_ready(
    server: KubeServer, world: SeldonWorld, storage: str
) -> None:
    on_trial(server, world, storage, 0.3)
    world.broken.add("y-v1")
    world.settle()
    decide(storage, "v2")
    outcome = apply(server, storage)
    assert outcome.steps == ("v2 takes over and v1, which is not ready, goes",) and world.weights() == {"y-v2": 100}


def test_a_new_image_is_waited_for(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    on_trial(server, world, storage, 0.1)
    shape = template(image="belisha/serve:0.2.0")
    outcome = apply(server, storage, shape=shape)
    assert outcome.steps == ("the pods take the shape of the release template",)
    images = {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in world.deployments().values()}
    assert images == {"belisha/serve:0.2.0"} and outcome.status.verdict is Verdict.PASS


def test_weights_that_somebody_edited_are_put_right(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    on_trial(server, world, storage, 0.1)
    edited = server.read(Key(SELDON, "belisha"))
    assert edited is not None
    edited["spec"]["predictors"][0]["traffic"], edited["spec"]["predictors"][1]["traffic"] = 40, 60
    edited["metadata"]["labels"]["team"] = "roads"
    server.write(Key(SELDON, "belisha"), edited)
    apply(server, storage)
    assert world.weights() == {"y-v1": 90, "y-v2": 10}
    assert server.read(Key(SELDON, "belisha"))["metadata"]["labels"]["team"] == "roads"  # type: ignore[index]


def test_what_others_made_is_left_alone(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    theirs = {"metadata": {"name": "belisha"}, "spec": {"predictors": []}}
    world.operator_runs = False
    server.write(Key(SELDON, "belisha"), theirs, create=True)
    decide(storage, "v1")
    with pytest.raises(InputError, match="not made by a release controller"):
        apply(server, storage)
    world.operator_runs = True
    assert apply(server, storage, adopt=True).status.verdict is Verdict.PASS


def test_nothing_to_serve_is_no_success(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    outcome = apply(server, storage)
    assert outcome.status.verdict is Verdict.INCONCLUSIVE and not server.writes()


def test_an_operator_that_sleeps_is_named(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    on_trial(server, world, storage, 0.1)
    world.operator_runs = False
    split(storage, 0.5, reason="more")
    outcome = apply(server, storage, seconds=0.2)
    assert outcome.status.verdict is Verdict.ERROR and "look whether Seldon's operator runs" in outcome.status.sentence


# Faults.


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (504, "Timeout"),
        (409, "Conflict"),
    ],
)
@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
def test_a_write_that_fails_is_made_good(
    server: KubeServer, world: SeldonWorld, storage: str, code: int, reason: str, after: bool
) -> None:
    decide(storage, "v1", "v2", 0.2)
    for method in ("POST", "PUT"):
        server.fail(code, reason, method=method, path="seldondeployments", times=2, retry_after=1, after=after)
    outcome = apply(server, storage)
    assert outcome.status.verdict is Verdict.PASS and world.weights() == {"y-v1": 80, "y-v2": 20}


def test_a_throttled_client_waits_as_long_as_it_is_told(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    decide(storage, "v1")
    server.fail(429, "TooManyRequests", path="deployments", retry_after=7)
    waits: list[float] = []
    made = applier(server, storage)
    made.pause = waits.append
    made.apply()
    assert 7 in waits


def test_a_server_that_stays_away_is_a_passing_fault(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    decide(storage, "v1")
    server.fail(503, "ServiceUnavailable", times=100_000)
    with pytest.raises(ClusterError, match="503") as raised:
        apply(server, storage, seconds=0.1)
    assert raised.value.exit_code == 75 and "apply" not in actions(storage)


def test_a_right_that_lacks_is_named_at_once(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    decide(storage, "v1")
    server.fail(403, "Forbidden", method="POST", times=1)
    with pytest.raises(ForbiddenError, match="role of the chart's release controller"):
        apply(server, storage)


def test_a_refusal_of_the_webhook_goes_on_record(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    decide(storage, "v1")
    server.fail(422, "Invalid", method="POST")
    outcome = apply(server, storage)
    assert outcome.status.verdict is Verdict.ERROR and "ordered Invalid" in outcome.status.sentence
    assert details_of_last(storage)["verdict"] == "ERROR"


def test_a_watch_that_expired_is_begun_anew(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    world.looks_until_ready = 4
    decide(storage, "v1")

    def expire(request: Request) -> None:
        if "watch" in request.query:
            server.expire_watches()

    server.before = expire
    assert apply(server, storage).status.verdict is Verdict.PASS
    assert any("watch" in request.query for request in server.requests)


# Killed anywhere, and raced.


def test_following_reports_news_only_and_bears_a_server_that_is_away(
    server: KubeServer, world: SeldonWorld, storage: str
) -> None:
    decide(storage, "v1")
    outcomes: list[ApplyOutcome] = []
    made = applier(server, storage, seconds=0.2)
    turns = iter(range(40))

    def pause(_: float) -> None:
        turn = next(turns)
        if turn == 10:
            split_soon()
        if turn == 15:
            server.fail(503, "ServiceUnavailable", times=30)
        if turn == 39:
            raise KilledError

    def split_soon() -> None:
        decide(storage, "v1", "v2", 0.25)

    made.pause = pause
    with pytest.raises(KilledError):
        follow(made, outcomes.append)
    assert [outcome.state.challenger for outcome in outcomes][:2] == [None, "v2"]
    assert len(outcomes) == 2 and world.weights() == {"y-v1": 75, "y-v2": 25}


def test_deployments_are_found_beyond_the_first_page(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    on_trial(server, world, storage, 0.1)
    decide(storage, "v1", "v2", 0.2)
    for number in range(5):
        labels = {"seldon-deployment-id": "other", "seldon-app": "other-y-v1"}
        spec = {"template": {"spec": {"containers": []}}}
        server.write(Key(DEPLOYMENTS, f"a-{number}"), {"metadata": {"labels": labels}, "spec": spec}, create=True)
    assert apply(server, storage).status.verdict is Verdict.PASS
