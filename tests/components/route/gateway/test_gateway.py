"""The gateway before real predictor processes: who answers, what is refused, what happens when predictors fail."""

from __future__ import annotations

import asyncio
import collections
import os
import signal
import time

import pytest
from scipy import stats

from belisha.components.route.gateway import Offer
from tests.components.route.gateway.running import Front, Process, offers, settings, through_gateway


def test_an_answer_passes_with_its_headers() -> None:
    async def scenario(front: Front) -> None:
        reply = await front.ask(b"abc", X_Request_ID="mine-1", X_Belisha_Camera="gate 7", Content_Type="image/jpeg")
        assert reply.status == 200
        assert reply.json["request_id"] == reply.headers["X-Request-ID"] == "mine-1"
        assert (reply.version, reply.headers["X-Belisha-Role"], reply.json["role"]) == ("v1", "champion", "champion")
        seen = (await front.seen(0))[-1]
        assert seen == {
            "body": "abc", "X-Belisha-Role": "champion", "X-Belisha-Drawn": "1", "X-Belisha-Shadow": "",
            "X-Belisha-Camera": "gate 7", "X-Belisha-Client": "", "Content-Type": "image/jpeg",
        }  # fmt: skip

    through_gateway(scenario)


def test_a_missing_or_odd_request_id_is_replaced() -> None:
    async def scenario(front: Front) -> None:
        for given in ("", "no spaces", "x" * 129, "<b>"):
            assert (await front.ask(X_Request_ID=given)).headers["X-Request-ID"] not in ("", given)

    through_gateway(scenario)


def test_requests_are_split_as_asked_and_a_change_acts_at_once() -> None:
    async def scenario(front: Front) -> None:
        for share in (0.2, 0.7):
            front.share(1 - share, share)
            versions = collections.Counter([(await front.ask()).version for _ in range(300)])
            low, high = stats.binom.interval(0.9999, 300, share)
            assert low <= versions["v2"] <= high, (share, versions)
        state = (await front.get("/api/v1.0/state")).json
        assert state["models"][1]["realised_ratio"] == pytest.approx(versions["v2"] / 300)

    through_gateway(scenario)


def test_a_change_in_the_middle_loses_no_request() -> None:
    async def scenario(front: Front) -> None:
        front.share(0.5, 0.5)
        waiting = [asyncio.create_task(front.ask(b"v2 sleep 0.4")) for _ in range(20)]
        await asyncio.sleep(0.2)
        held = front.gateway.fleet.in_flight(front.processes[1].url)
        front.gateway.fleet.serve(offers(front.processes[:1], 1.0, 0.0))
        assert held == front.gateway.fleet.in_flight(front.processes[1].url) > 0
        assert (await front.ask()).version == "v1"
        replies = await asyncio.gather(*waiting)
        assert [reply.status for reply in replies] == [200] * 20
        assert sum(reply.version == "v2" for reply in replies) == held
        assert front.gateway.fleet.in_flight(front.processes[1].url) == 0

    through_gateway(scenario)


@pytest.mark.parametrize("trouble", ["status 500", "status 503", "drop", "crash", "sleep 3"])
def test_a_failed_challenger_is_answered_by_the_champion(trouble: str) -> None:
    async def scenario(front: Front) -> None:
        reply = await front.ask(b"v2 " + trouble.encode())
        assert (reply.status, reply.version) == (200, "v1")
        assert reply.headers["X-Belisha-Drawn"] == (await front.seen(0))[-1]["X-Belisha-Drawn"] == "0"
        page = (await front.get("/metrics")).body.decode()
        assert "belisha_gateway_retries_total" in page
        failed = 'belisha_gateway_failures_total{model_version="v2",reason='
        counts = sorted(float(line.split()[-1]) for line in page.splitlines() if line.startswith(failed))
        assert counts[:4] == [0, 0, 0, 0], "every reason is there from the beginning"
        assert counts[4] >= 1

    through_gateway(scenario, challenger=1.0, settings=settings(request_seconds=0.5))


def test_a_failed_champion_is_answered_by_the_challenger() -> None:
    async def scenario(front: Front) -> None:
        reply = await front.ask(b"v1 crash")
        assert (reply.status, reply.version, reply.headers["X-Belisha-Drawn"]) == (200, "v2", "0")

    through_gateway(scenario)


def test_a_lone_champion_that_dies_is_awaited() -> None:
    """The request that was in flight and those that come meanwhile are answered by the champion that is started again."""

    async def scenario(front: Front) -> None:
        tasks = [asyncio.create_task(front.ask(b"v1 crash" if not number else b"next")) for number in range(5)]
        await asyncio.sleep(0.5)
        # The words that crash v1 do nothing to a predictor that calls itself otherwise.
        again = await asyncio.to_thread(Process, "v1-again")
        try:
            front.gateway.fleet.serve([Offer(front.gateway.fleet.targets[0], again.url)])
            assert [reply.status for reply in await asyncio.gather(*tasks)] == [200] * 5
        finally:
            again.end()

    through_gateway(scenario, models=1, settings=settings(patience_seconds=20))


def test_a_lone_champion_that_is_not_ready_is_awaited() -> None:
    """As after the death of its only worker: the process still listens, and its new worker has the model to load first."""

    async def scenario(front: Front) -> None:
        replies = await asyncio.gather(*(front.ask(b"v1 loading 0.5") for _ in range(4)))
        assert [reply.status for reply in replies] == [200] * 4

    through_gateway(scenario, models=1, settings=settings(patience_seconds=20))


def test_whoever_cannot_be_reached_is_passed_over_however_often() -> None:
    """Two dead predictors cost a request neither of its chances: the third, which comes later, answers it."""

    async def scenario(front: Front) -> None:
        for process in front.processes:
            process.end()
        asked = asyncio.create_task(front.ask())
        await asyncio.sleep(0.3)
        again = await asyncio.to_thread(Process, "v1-again")
        try:
            front.gateway.fleet.serve([Offer(front.gateway.fleet.targets[0], again.url)])
            assert (await asked).status == 200
        finally:
            again.end()

    through_gateway(scenario, challenger=0.5, settings=settings(patience_seconds=20))


def test_an_answer_proves_that_a_predictor_lives_when_looks_at_its_health_are_slow() -> None:
    async def scenario(front: Front) -> None:
        assert (await front.ask(b"v1 deaf 6")).status == 200
        slow = asyncio.create_task(front.ask(b"v1 sleep 1"))
        await asyncio.sleep(0.2)
        dropped = asyncio.create_task(front.ask(b"v1 drop"))
        await asyncio.sleep(0.2)
        assert not front.gateway.fleet.is_healthy(front.processes[0].url)
        assert (await front.ask()).status == (await slow).status == 200
        await dropped
        front.processes[0].end()  # it would be deaf to the next test

    through_gateway(scenario, models=1, settings=settings(patience_seconds=3))


def test_a_request_that_breaks_predictors_off_meets_two_and_no_third() -> None:
    async def scenario(front: Front) -> None:
        assert (await front.ask(b"v1 drop")).status == 502
        assert len(await front.seen(0)) == 2

    through_gateway(scenario, models=1)


def test_nobody_healthy_is_a_503_after_the_patience() -> None:
    async def scenario(front: Front) -> None:
        front.processes[0].end()
        begin = time.monotonic()
        reply = await front.ask()
        assert reply.status == 503
        assert "no predictor" in reply.json["error"]
        assert int(reply.headers["Retry-After"]) > 0
        assert 0.3 < time.monotonic() - begin < 5
        assert (await front.get("/healthz")).status == 503

    through_gateway(scenario, models=1, settings=settings(patience_seconds=0.4))


def test_two_failures_are_a_502_without_the_predictors_words() -> None:
    async def scenario(front: Front) -> None:
        reply = await front.ask(b"v1 status 500")
        assert reply.status == 502
        assert "Traceback" not in reply.body.decode()

    through_gateway(scenario, models=1)


def test_a_refusal_of_the_predictor_passes_and_is_not_tried_again() -> None:
    async def scenario(front: Front) -> None:
        reply = await front.ask(b"v1 status 400")
        assert (reply.status, reply.version) == (400, "v1")
        assert len(await front.seen(0)) == 1
        assert not await front.seen(1)

    through_gateway(scenario)


def test_too_many_requests_are_shed_at_once() -> None:
    async def scenario(front: Front) -> None:
        slow = [asyncio.create_task(front.ask(b"v1 sleep 1")) for _ in range(4)]
        await asyncio.sleep(0.4)
        begin = time.monotonic()
        reply = await front.ask()
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        assert time.monotonic() - begin < 0.4
        assert "under way" in reply.json["error"]
        assert [one.status for one in await asyncio.gather(*slow)] == [200] * 4
        assert (await front.ask()).status == 200
        assert b'shed_total{reason="requests"} 1.0' in (await front.get("/metrics")).body

    through_gateway(scenario, settings=settings(max_in_flight=4))


def test_too_many_bytes_are_shed() -> None:
    async def scenario(front: Front) -> None:
        slow = asyncio.create_task(front.ask(b"v1 sleep 1 " + bytes(6000)))
        await asyncio.sleep(0.3)
        assert (await front.ask(bytes(6000))).status == 503
        assert (await front.ask(bytes(10))).status == 200
        assert (await slow).status == 200

    through_gateway(scenario, settings=settings(max_bytes_in_flight=10_000))


def test_an_unhealthy_predictor_gets_nothing_until_it_is_well() -> None:
    async def scenario(front: Front) -> None:
        front.share(0.0, 1.0)
        front.processes[1].popen.send_signal(signal.SIGSTOP)
        try:
            assert (await front.ask()).version == "v1"
        finally:
            front.processes[1].popen.send_signal(signal.SIGCONT)
        async with asyncio.timeout(10):
            while (await front.ask()).version != "v2":
                await asyncio.sleep(0.05)

    through_gateway(scenario, settings=settings(request_seconds=0.5))


def test_stopping_finishes_what_is_in_flight_and_takes_nothing_new() -> None:
    async def scenario(front: Front) -> None:
        slow = [asyncio.create_task(front.ask(b"v1 sleep 0.8")) for _ in range(3)]
        await asyncio.sleep(0.2)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert [one.status for one in await asyncio.gather(*slow)] == [200] * 3

    async def run() -> None:
        import aiohttp

        from belisha.components.route.gateway import Fleet, Gateway

        process, stop = Process("v1"), asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, stop.set)
        fleet = Fleet()
        fleet.serve(offers([process], 1.0, 0.0))
        try:
            async with aiohttp.ClientSession() as session:
                gateway = Gateway(fleet, settings())
                async with gateway.running() as url:
                    asked = asyncio.create_task(scenario(Front(gateway, url, session, [process])))
                    await stop.wait()
                await asked
                with pytest.raises(aiohttp.ClientConnectorError):
                    await session.get(url + "/healthz")
        finally:
            process.end()

    asyncio.run(run())


def test_a_taken_port_is_a_sentence() -> None:
    from belisha.components.shared.errors import InputError

    async def scenario(front: Front) -> None:
        from belisha.components.route.gateway import Fleet, Gateway

        port = int(front.url.rsplit(":", 1)[1])
        with pytest.raises(InputError, match=r"cannot listen on 127\.0\.0\.1"):
            async with Gateway(Fleet(), settings(port=port)).running():
                pass

    through_gateway(scenario, models=1)
