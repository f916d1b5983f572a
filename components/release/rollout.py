"""From what stands in the cluster to the next safe layout of predictors, one write at a time: pure.

Seldon's operator moves the mesh's weights only when every Deployment of every predictor is ready, and deletes the Deployments
of a dropped predictor after that. Hence the order: a new predictor comes without traffic; weights move when all are ready; the
old predictor goes once the weights have arrived. A predictor that never gets ready holds everything up as long as it stands in
the object, so a rollback removes it, for setting its share to nothing would do nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from belisha.components.release.seldon_deployment import Placement


class Stage(enum.StrEnum):
    """What a step is about."""

    WRITE = "write"
    WAIT = "wait"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Present:
    """A predictor that stands in the object now.

    Attributes:
        version: model version that it runs.
        traffic_percent: its share of requests, as the object has it.
        shadow: whether it only sees copies.
        ready: whether all its Deployments are.
    """

    version: str
    traffic_percent: int
    shadow: bool = False
    ready: bool = False

    def as_placement(self, role: str, traffic_percent: int | None = None) -> Placement:
        """The same predictor in a layout, with the share that it has or another one."""
        percent = self.traffic_percent if traffic_percent is None else traffic_percent
        return Placement(self.version, role, percent, self.shadow)


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done next.

    Attributes:
        stage: whether to write, to wait, or nothing any more.
        layout: who is to stand in the object, the first one first; empty while there is nothing to write but to wait.
        sentence: why, with the versions.
        waits_for: versions whose predictors have to get ready first; empty when the mesh is what is waited for.
    """

    stage: Stage
    layout: tuple[Placement, ...]
    sentence: str
    waits_for: tuple[str, ...] = ()


def next_step(present: Sequence[Present], wanted: Sequence[Placement], *, settled: bool) -> Step:
    """The next step from what stands there to what the ledger wants.

    Args:
        present: the object's predictors in their order; the first one was champion when they were written.
        wanted: champion first, then the challenger if there is one.
        settled: whether the mesh has the weights that the object has.
    """
    champion = wanted[0]
    if not present:
        return _write([_alone(champion.version)], f"{champion.version} is started as champion")
    if champion.version not in _versions(present):
        return _bring_in(present, champion, settled=settled)
    if present[0].version != champion.version:
        return _hand_over(present, wanted)
    if extras := [one for one in present[1:] if one.version not in _versions(wanted)]:
        return _drop(present, extras, settled=settled)
    return _challenge(present, wanted, settled=settled)


def _bring_in(present: Sequence[Present], champion: Placement, *, settled: bool) -> Step:
    """The champion has no predictor yet: whoever serves goes on alone until it has one."""
    first, *others = present
    if others:
        names = _and(others)
        return _write(
            [first.as_placement("draining", 100)], f"{names} {_goes(others)} before {champion.version} is started"
        )
    if not settled and first.ready:
        return _wait(f"all requests go to {first.version} before {champion.version} is started")
    layout = [first.as_placement("draining", 100), Placement(champion.version, "champion", 0)]
    return _write(layout, f"{champion.version} is started without traffic beside {first.version}")


def _hand_over(present: Sequence[Present], wanted: Sequence[Placement]) -> Step:
    """The champion stands behind the one before: it takes over when it is ready, however the one before does."""
    first, champion = present[0], wanted[0]
    coming = next(one for one in present if one.version == champion.version)
    if coming.shadow:
        layout = [first.as_placement("draining", 100), Placement(champion.version, "champion", 0)]
        return _write(layout, f"{champion.version} ends being a shadow, without traffic yet")
    if not coming.ready:
        return _wait(f"{champion.version} takes over from {first.version} when it is ready", (champion.version,))
    stays = next((one for one in wanted[1:] if one.version == first.version and not one.shadow), None)
    if first.ready and stays is not None:
        return _write([champion, stays], f"{champion.version} and {first.version} change roles")
    if first.ready:
        layout = [_alone(champion.version), first.as_placement("draining", 0)]
        return _write(layout, f"all requests move from {first.version} to {champion.version}")
    return _write(
        [_alone(champion.version)], f"{champion.version} takes over and {first.version}, which is not ready, goes"
    )


def _drop(present: Sequence[Present], extras: Sequence[Present], *, settled: bool) -> Step:
    """Predictors that nobody wants go: a former challenger at once, a former champion when the mesh has left it."""
    leaving = [one for one in extras if one.traffic_percent == 0 and not one.shadow and one.ready]
    if leaving and present[0].ready and not settled:
        return _wait(f"requests leave {_and(leaving)}")
    kept = [one for one in present[1:] if one not in extras]
    share = sum(one.traffic_percent for one in kept if not one.shadow)
    layout = [present[0].as_placement("champion", 100 - share), *(one.as_placement("challenger") for one in kept)]
    return _write(layout, f"{_and(extras)} {_goes(extras)}")


def _challenge(present: Sequence[Present], wanted: Sequence[Placement], *, settled: bool) -> Step:
    """Champion, and perhaps the challenger, stand there: start the challenger, or set the shares."""
    champion, challenger = wanted[0], (wanted[1] if len(wanted) > 1 else None)
    unready = tuple(one.version for one in present if not one.ready)
    if challenger is None:
        return _finish(present, wanted, unready, settled=settled)
    standing = next((one for one in present[1:] if one.version == challenger.version), None)
    if standing is None and not unready and settled:
        newcomer = challenger if challenger.shadow else Placement(challenger.version, "challenger", 0)
        return _write([_alone(champion.version), newcomer], f"{challenger.version} is started without traffic")
    if standing is None:
        return _wait(f"{champion.version} is to be well before {challenger.version} is started", unready)
    if standing.shadow != challenger.shadow:
        newcomer = challenger if challenger.shadow else Placement(challenger.version, "challenger", 0)
        becomes = "becomes a shadow" if challenger.shadow else "ends being a shadow, without traffic yet"
        return _write([_alone(champion.version), newcomer], f"{challenger.version} {becomes}")
    return _finish(present, wanted, unready, settled=settled)


def _finish(
    present: Sequence[Present], wanted: Sequence[Placement], unready: tuple[str, ...], *, settled: bool
) -> Step:
    shares = " and ".join(f"{one.version} {one.traffic_percent} %" for one in wanted if not one.shadow)
    same = [one.traffic_percent for one in present] == [one.traffic_percent for one in wanted]
    alone = len(wanted) == 1
    if not same and (alone or not unready):
        return _write(wanted, f"shares become {shares}")
    if unready:
        return _wait(f"{' and '.join(unready)} {'is' if len(unready) == 1 else 'are'} not ready", unready)
    if not settled:
        return _wait(f"the mesh is to send {shares}")
    return Step(Stage.DONE, tuple(wanted), f"{shares} of requests")


def as_it_stands(present: Sequence[Present], wanted: Sequence[Placement]) -> tuple[Placement, ...]:
    """The predictors that stand there, with the roles that the ledger gives them."""
    roles = {one.version: one.role for one in wanted}
    return tuple(one.as_placement(roles.get(one.version, "draining")) for one in present)


def _alone(version: str) -> Placement:
    return Placement(version, "champion", 100)


def _write(layout: Sequence[Placement], sentence: str) -> Step:
    return Step(Stage.WRITE, tuple(layout), sentence)


def _wait(sentence: str, versions: tuple[str, ...] = ()) -> Step:
    return Step(Stage.WAIT, (), sentence, versions)


def _versions(items: Sequence[Present] | Sequence[Placement]) -> list[str]:
    return [one.version for one in items]


def _and(items: Sequence[Present]) -> str:
    return " and ".join(one.version for one in items)


def _goes(items: Sequence[Present]) -> str:
    return "goes" if len(items) == 1 else "go"
