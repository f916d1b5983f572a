"""The release controller killed at every step, and several of them at once: each ends where the ledger said."""

from __future__ import annotations

import threading

import pytest

from belisha.components.release import policy
from belisha.components.release.release import apply_move, split
from belisha.components.shared.kube_api import KubeApi
from belisha.components.shared.registry import open_registry
from belisha.components.shared.verdict import Verdict
from tests.kube.api_server import Key, KubeServer, Request
from tests.kube.release_world import (
    KilledError,
    actions,
    api_of,
    apply,
    decide,
    on_trial,
)
from tests.kube.seldon_world import SELDON, SeldonWorld


class MortalApi(KubeApi):
    """Dies at its n-th request: before it, or when the server has done it already."""

    def __init__(self, api: KubeApi, requests_left: int, *, after: bool) -> None:
        super().__init__(api._client)
        self._left, self._after = requests_left, after

    def _request(self, *arguments: object, **more: object) -> object:
        self._left -= 1
        if self._left < 0 and not self._after:
            raise KilledError
        answer = super()._request(*arguments, **more)  # type: ignore[arg-type]
        if self._left < 0:
            raise KilledError
        return answer


@pytest.mark.parametrize("after", [False, True], ids=["before the request", "after it"])
@pytest.mark.parametrize(
    ("champion", "challenger", "ratio"),
    [("v1", "v3", 0.4), ("v2", None, 0.0), ("v1", None, 0.0), ("v3", None, 0.0), ("v3", "v2", 0.1), ("v2", "v1", 0.5)],
)
def test_killed_at_every_request_it_comes_through(
    server: KubeServer,
    world: SeldonWorld,
    storage: str,
    champion: str,
    challenger: str | None,
    ratio: float,
    after: bool,
) -> None:
    on_trial(server, world, storage, 0.3)
    decide(storage, champion, challenger, ratio)
    kills = 0
    while True:
        try:
            outcome = apply(server, storage, api=MortalApi(api_of(server), kills, after=after))
            break
        except KilledError:
            kills += 1
            assert world.weights(), "somebody answers at any time"
    world.settle()
    assert outcome.status.verdict is Verdict.PASS and kills >= 4
    percent = round(100 * ratio)
    wanted = {f"y-{champion}": 100 - percent, **({f"y-{challenger}": percent} if challenger else {})}
    assert world.weights() == wanted
    assert set(world.deployments()) == {f"belisha-{name}-0-detector" for name in wanted}
    assert actions(storage).count("apply") <= 2, "an outcome is recorded once"


def test_two_controllers_and_two_releases_race_without_harm(
    server: KubeServer, world: SeldonWorld, storage: str
) -> None:
    on_trial(server, world, storage, 0.1)
    errors: list[BaseException] = []

    def control() -> None:
        try:
            for _ in range(4):
                apply(server, storage)
        except BaseException as error:  # noqa: BLE001 - the test tells it
            errors.append(error)

    def release() -> None:
        for ratio in (0.5, 0.2):
            split(storage, ratio, reason="race")
        promotion = policy.Move("", None)
        apply_move(open_registry(storage), lambda *_: promotion)
        decide(storage, "v2")

    threads = [threading.Thread(target=one) for one in (control, control, release)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome = apply(server, storage)
    world.settle()
    assert not errors and outcome.status.verdict is Verdict.PASS
    assert world.weights() == {"y-v2": 100} and world.predictors() == [("y-v2", 100)]


def test_a_writer_in_between_is_met_by_reading_again(server: KubeServer, world: SeldonWorld, storage: str) -> None:
    on_trial(server, world, storage, 0.1)
    split(storage, 0.5, reason="more")
    meddled: list[str] = []

    def meddle(request: Request) -> None:
        if request.method == "PUT" and "seldondeployments" in request.path and not meddled:
            meddled.append(request.path)
            body = server.read(Key(SELDON, "belisha"))
            assert body is not None
            body["metadata"]["annotations"]["someone"] = "else"
            server.write(Key(SELDON, "belisha"), body)

    server.before = meddle
    told: list[str] = []
    assert apply(server, storage, told=told).status.verdict is Verdict.PASS
    assert any("met another writer" in sentence for sentence in told)
    assert server.read(Key(SELDON, "belisha"))["metadata"]["annotations"]["someone"] == "else"  # type: ignore[index]
