"""Who may answer, who answers beside, and whose feedback it is."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.components.route.gateway.running import Front, policy, settings, through_gateway


def test_the_policy_decides() -> None:
    rules = [
        {"name": "no strangers", "when": {"clients": ["stranger*"]}, "deny": "strangers have no contract"},
        {"name": "gates", "when": {"cameras": ["gate-*"]}, "use": "challenger"},
        {"name": "lab", "when": {"clients": ["lab"]}, "may_choose": True},
    ]
    classes = [{"name": "embedded", "cameras": ["tiny-*"], "max_model_bytes": 2000}]

    async def scenario(front: Front) -> None:
        denied = await front.ask(X_Belisha_Client="stranger-1")
        assert (denied.status, denied.json["error"]) == (403, "strangers have no contract")
        assert (await front.ask(X_Belisha_Camera="gate-7")).version == "v2"
        assert (await front.ask(X_Belisha_Client="lab", X_Belisha_Model="v2")).version == "v2"
        assert (await front.ask(X_Belisha_Client="lab", X_Belisha_Model="v9")).status == 403
        assert (await front.ask(X_Belisha_Client="x", X_Belisha_Model="v2")).status == 403
        front.share(0.0, 1.0)
        assert (await front.ask(X_Belisha_Camera="tiny-1")).version == "v1"
        assert not [one for one in await front.seen(1) if one["X-Belisha-Client"] == "stranger-1"]

    through_gateway(scenario, policy=policy(rules=rules, camera_classes=classes))


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X_Belisha_Camera": "tiny-1"}, id="camera with a size bound"),
        pytest.param({"X_Belisha_Client": "lab", "X_Belisha_Model": "v1"}, id="model by name"),
    ],
)
def test_nobody_stands_in_against_the_policy(headers: dict[str, str]) -> None:
    rules = [{"name": "lab", "when": {"clients": ["lab"]}, "may_choose": True}]
    classes = [{"name": "embedded", "cameras": ["tiny-*"], "max_model_bytes": 2000}]

    async def scenario(front: Front) -> None:
        front.processes[0].end()
        assert (await front.ask(**headers)).status == 503
        assert not await front.seen(1)

    through_gateway(
        scenario, policy=policy(rules=rules, camera_classes=classes), settings=settings(patience_seconds=0.3)
    )


def test_a_camera_keeps_its_model() -> None:
    async def scenario(front: Front) -> None:
        for camera in range(12):
            versions = {(await front.ask(X_Belisha_Camera=f"camera-{camera}")).version for _ in range(4)}
            assert len(versions) == 1

    through_gateway(scenario, policy=policy(sticky_by="camera"), challenger=0.5)


def test_shadows_go_to_the_log_alone() -> None:
    async def scenario(front: Front) -> None:
        reply = await front.ask(b"both see this")
        assert reply.version == "v1"
        async with asyncio.timeout(5):
            while not await front.seen(1):
                await asyncio.sleep(0.02)
        seen = (await front.seen(1))[0]
        assert (seen["X-Belisha-Shadow"], seen["X-Belisha-Drawn"], seen["body"]) == ("1", "0", "both see this")
        assert (await front.seen(0))[0]["X-Belisha-Shadow"] == ""

    through_gateway(scenario, policy=policy(shadow_ratio=1.0))


def test_shadows_above_the_bound_are_dropped_and_counted() -> None:
    async def scenario(front: Front) -> None:
        replies = [await front.ask(b"v2 sleep 2") for _ in range(5)]
        assert {reply.version for reply in replies} == {"v1"}
        text = (await front.get("/metrics")).body.decode()
        assert 'shadows_total{outcome="dropped"} 3.0' in text
        # A shadow that the challenger cannot answer troubles nobody.
        front.processes[1].end()
        assert (await front.ask()).status == 200

    through_gateway(scenario, policy=policy(shadow_ratio=1.0), settings=settings(max_shadows=2))


def test_compare_asks_both_and_counts_for_neither() -> None:
    async def scenario(front: Front) -> None:
        value = (await front.ask(b"picture", path="/api/v1.0/compare")).json
        assert [(one["role"], one["model_version"], one["status"]) for one in value["answers"]] == [
            ("champion", "v1", 200),
            ("challenger", "v2", 200),
        ]
        assert {one["X-Belisha-Drawn"] for number in (0, 1) for one in await front.seen(number)} == {"0"}
        broken = (await front.ask(b"v2 status 500", path="/api/v1.0/compare")).json["answers"]
        assert broken[0]["answer"]["boxes"]
        assert broken[1]["status"] == 502

    through_gateway(scenario)


ABOUT_V2 = {
    "the answer": {"reward": 1, "response": {"model_version": "v2", "boxes": []}},
    "a message": {"reward": 0, "response": {"jsonData": {"model_version": "v2"}}},
    "its tags": {"reward": -1, "response": {"meta": {"tags": {"model_version": "v2"}}}},
}


def test_feedback_reaches_the_model_that_answered_whatever_the_shares() -> None:
    async def scenario(front: Front) -> None:
        for value in ABOUT_V2.values():
            reply = await front.ask(json.dumps(value).encode(), path="/api/v1.0/feedback")
            assert (reply.status, reply.json) == (200, {})
        assert (await front.ask(b'{"reward": 1}', path="/send-feedback", X_Belisha_Model_Version="v2")).status == 200
        assert [json.loads(one["feedback"])["reward"] for one in await front.seen(1)] == [1, 0, -1, 1]
        assert not await front.seen(0)

    through_gateway(scenario, challenger=0.0)


def test_feedback_that_cannot_be_credited_is_refused() -> None:
    async def scenario(front: Front) -> None:
        for body in (b'{"reward": 1}', b"no", b"[1]", b"[" * 9999, b'{"response": {"model_version": 2}}'):
            reply = await front.ask(body, path="/api/v1.0/feedback")
            assert (reply.status, "X-Belisha-Model-Version" in reply.json["error"]) == (400, True), body
        gone = await front.ask(b'{"response": {"model_version": "v9"}}', path="/api/v1.0/feedback")
        assert (gone.status, "v9" in gone.json["error"]) == (410, False)
        front.processes[1].end()
        assert (await front.ask(b'{"response": {"model_version": "v2"}}', path="/api/v1.0/feedback")).status == 503

    through_gateway(scenario)
