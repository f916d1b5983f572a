"""Requests that were divided between the models: who answered how many how fast, and what each found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
import numpy as np

from belisha.components.route.routing import Target
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.report import (
    BLUE,
    GREEN,
    BoxLayer,
    Fact,
    Markup,
    Section,
    facts,
    gallery,
    legend,
    new_figure,
    paragraph,
    picture,
    table,
)  # fmt: skip
from belisha.components.shared.report import figure as figure_block
from belisha.serving.load import Reply

_COLOURS = {"champion": GREEN, "challenger": BLUE}
_TWO_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, slots=True)
class ModelTraffic:
    """One model's part.

    Attributes:
        version: model version.
        role: champion or challenger.
        asked_ratio: share of requests that was asked for, 0..1.
        answers: requests that it answered.
        seconds: from request to answer of each, the gateway included.
    """

    version: str
    role: str
    asked_ratio: float
    answers: int
    seconds: tuple[float, ...]

    def milliseconds(self, percent: float) -> float:
        """A percentile of the latencies in ms; NaN without answers."""
        return 1000 * float(np.percentile(self.seconds, percent)) if self.seconds else float("nan")


@dataclass(frozen=True, slots=True)
class Example:
    """A picture and the boxes that each model found on it, as they stand in the answers."""

    data: bytes
    boxes: Mapping[str, Sequence[Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class ServingResult:
    """What came of it.

    Attributes:
        requests: sent.
        answered: with status 200.
        requests_per_second: answered, by `clients` that ask one after another.
        clients: that asked.
        models: the champion first.
        examples: a few pictures as both models answered them.
    """

    requests: int
    answered: int
    requests_per_second: float
    clients: int
    models: tuple[ModelTraffic, ...]
    examples: tuple[Example, ...]

    @property
    def sentence(self) -> str:
        """The result with its numbers."""
        shares = " and ".join(
            f"{one.role} {one.version} {one.answers} ({one.answers / max(1, self.answered):.0%}, asked {one.asked_ratio:.0%})"
            for one in self.models
        )
        return f"{self.answered} of {self.requests} requests were answered: {shares}"


def result_of(
    replies: Sequence[Reply], targets: Sequence[Target], clients: int, examples: Sequence[Example] = ()
) -> ServingResult:
    """What came of requests under one division of the traffic.

    Args:
        replies: at least one.
        targets: among which the gateway divided them, the champion first.
        clients: that asked at a time.
        examples: pictures shown to all models.
    """
    answered = [reply for reply in replies if reply.status == 200]
    seconds = max(one.began + one.seconds for one in replies) - min(one.began for one in replies)
    models = tuple(_traffic(one.version, one.role, one.traffic_ratio, answered) for one in targets)
    return ServingResult(len(replies), len(answered), len(answered) / seconds, clients, models, tuple(examples))


async def example_of(url: str, session: aiohttp.ClientSession, data: bytes) -> Example:
    """A picture as all models that serve at an address answer it."""
    async with session.post(f"{url}/api/v1.0/compare", data=data) as response:
        answers = json.loads(await response.read())["answers"]
    return Example(data, {one["role"]: one["answer"]["boxes"] for one in answers if one["status"] == 200})


def _traffic(version: str, role: str, asked: float, answered: Sequence[Reply]) -> ModelTraffic:
    seconds = tuple(reply.seconds for reply in answered if reply.version == version)
    return ModelTraffic(version, role, asked, len(seconds), seconds)


def report_sections(result: ServingResult) -> list[Section]:
    """The result as parts of a report: figures, who answered how many how fast, and pictures as both models answered them."""
    return [_traffic_section(result), _examples_section(result)]


def _traffic_section(result: ServingResult) -> Section:
    whole = result.answered == result.requests
    cards = facts(
        [
            Fact("answered", f"{result.answered} of {result.requests}", tone="good" if whole else "bad"),
            Fact("requests a second", f"{result.requests_per_second:.1f}", f"{result.clients} clients on this machine"),
            *_split_facts(result),
        ]
    )
    rows = [
        [one.role, one.version, one.asked_ratio, one.answers / max(1, result.answered), one.answers]
        + [one.milliseconds(percent) for percent in (50, 95, 99)]
        for one in result.models
    ]
    headers = ["role", "version", "asked share", "realised share", "answers", "p50 ms", "p95 ms", "p99 ms"]
    blocks = [
        cards,
        table(headers, rows, "Latency from request to answer, the gateway included"),
        _latency_plot(result),
    ]
    return Section("Serving: traffic split between the models", blocks, result.sentence + ".")


def _split_facts(result: ServingResult) -> list[Fact]:
    """The challenger's share, with what chance alone may do to it."""
    challenger = next((one for one in result.models if one.role == "challenger"), None)
    if challenger is None or not result.answered:
        return []
    asked = challenger.asked_ratio
    margin = _TWO_STANDARD_ERRORS * float(np.sqrt(asked * (1 - asked) / result.answered))
    realised = challenger.answers / result.answered
    remark = f"asked {asked:.0%}, chance moves it by ± {100 * margin:.1f} points"
    return [
        Fact("challenger's share", f"{realised:.1%}", remark, "good" if abs(realised - asked) <= margin else "warn")
    ]


def _latency_plot(result: ServingResult) -> Markup:
    figure, axes = new_figure(height_inch=2.8)
    for one in result.models:
        if one.seconds:
            values = np.sort(1000 * np.array(one.seconds))
            colour = tuple(part / 255 for part in _COLOURS[one.role])
            shares = np.arange(1, len(values) + 1) / len(values)
            axes.step(values, shares, where="post", color=colour, label=f"{one.role} {one.version}")
    axes.set(xlabel="ms from request to answer", ylabel="share of requests answered", ylim=(0, 1.02))
    axes.legend(loc="lower right", frameon=False)
    return figure_block(figure, "How long requests waited, by the model that answered")


def _examples_section(result: ServingResult) -> Section:
    if not result.examples:
        return Section("Serving: pictures as they were answered", [paragraph("none were asked for", tone="warn")])
    key = legend([(_COLOURS[role], role) for role in _COLOURS if any(role in one.boxes for one in result.examples)])
    shown = [
        _drawn(example, number, role)
        for number, example in enumerate(result.examples, 1)
        for role in sorted(example.boxes)
    ]
    lead = "The same picture, sent to both models by the same address; each box with its score."
    return Section("Serving: pictures as they were answered", [key, gallery(shown, wide=True)], lead)


def _drawn(example: Example, number: int, role: str) -> Markup:
    boxes = example.boxes[role]
    sides = np.array([[box[name] for name in ("x", "y", "width", "height")] for box in boxes], np.float64).reshape(
        -1, 4
    )
    layer = BoxLayer(sides, _COLOURS[role], [f"{box['score']:.2f}" for box in boxes])
    caption = f"picture {number}, {role}: {len(boxes)} found"
    return picture(decode_rgb(example.data), caption, [layer])
