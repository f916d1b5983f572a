"""Predictors that follow the ledger: started before they get traffic, restarted when they die, stopped when drained."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from belisha.components.route import Target
from belisha.components.route.gateway import Fleet, Offer
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.ledger import LedgerState
from belisha.components.shared.model_artifact import ONNX_FILE
from belisha.components.shared.progress import ProgressEvent, ProgressSink
from belisha.components.shared.registry import Registry
from belisha.serving.plan import Share, shares, wanted_versions
from belisha.serving.predictor_process import Predictor, PredictorSettings, start_predictor

_log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
_WATCH_SECONDS = 0.1
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
_STEADY_SECONDS = 60.0
# A predictor that lives but has answered nobody for so long, not even a look at its health, will not any more.
_HUNG_SECONDS = 60.0
_DRAIN_SECONDS = 30.0
_STEP = "predictor"


def pause_seconds(deaths: int) -> float:
    """How long to wait before a predictor is started again: not at all after one death, then longer each time, up to a bound.

    Args:
        deaths: in a row, without a steady life between them, 1 or more.
    """
    return 0.0 if deaths <= 1 else float(min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(deaths - 2, 30)))


@dataclass(slots=True, eq=False)
class Post:
    """The place of one model version: its predictor of the moment, and the task that keeps one there.

    Attributes:
        version: model version.
        predictor: the last that was started.
        ready: whether one was ever ready; a post that was keeps its share while its predictor is started again.
        restarts: after a death.
        trouble: why there is none now, a sentence; empty when all is well.
        size_bytes: of the model's ONNX file.
        url: of the last predictor that was ready.
    """

    version: str
    predictor: Predictor | None = None
    ready: bool = False
    restarts: int = 0
    trouble: str = ""
    size_bytes: int = 0
    url: str = ""
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Supervisor:
    """Keeps the predictors that the ledger asks for, and tells the fleet who serves."""

    def __init__(
        self,
        registry: Registry,
        fleet: Fleet,
        settings: PredictorSettings,
        cache_dir: Path,
        progress: ProgressSink,
    ) -> None:
        """Wire it up without starting anything; `cache_dir` holds fetched models."""
        self._registry, self._fleet, self._settings = registry, fleet, settings
        self._cache_dir, self._progress = cache_dir, progress
        self._posts: dict[str, Post] = {}
        self._shares: tuple[Share, ...] = ()
        self._state = LedgerState()
        self._record = 0
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def posts(self) -> Sequence[Post]:
        """Every version that has a place now."""
        return tuple(self._posts.values())

    async def follow(self) -> None:
        """Read the ledger again and again, and act on it; cancel to end, then call `stop`."""
        while True:
            try:
                self._take(await asyncio.to_thread(self._registry.ledger.records))
            except BelishaError as error:
                # Whoever serves goes on serving while the store is away.
                _log.warning("%s", error)
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Stop every predictor."""
        posts, self._posts = list(self._posts.values()), {}
        self._fleet.serve(())
        await asyncio.gather(*(self._close(post) for post in posts), *self._leaving, return_exceptions=True)

    async def until_serving(self) -> None:
        """Wait until the champion serves, and the challenger too unless it cannot.

        Raises:
            BelishaError: the champion's predictor did not start.
        """
        while True:
            posts = [self._posts.get(version) for version in wanted_versions(self._state)]
            champion = posts[0] if posts else None
            if champion is not None and champion.trouble and not champion.ready:
                raise BelishaError(champion.trouble)
            if posts and all(post is not None and (post.ready or post.trouble) for post in posts):
                return
            await asyncio.sleep(_WATCH_SECONDS)

    def state(self) -> dict[str, Any]:
        """What a person wants to know, as JSON values."""
        predictors = [
            {
                "version": post.version, "ready": post.ready, "restarts": post.restarts, "trouble": post.trouble,
                "pid": post.predictor.pid if post.predictor else None, "url": post.url,
                "metrics_url": post.predictor.metrics_url if post.predictor else "",
            }
            for post in self._posts.values()
        ]  # fmt: skip
        asked = {
            "champion": self._state.champion,
            "challenger": self._state.challenger,
            "challenger_traffic_ratio": self._state.challenger_traffic_ratio,
        }
        return {"ledger_record": self._record, "ledger": asked, "predictors": predictors}

    def _take(self, records: Sequence[Any]) -> None:
        """Act on the ledger as it is now."""
        if records:
            self._record, self._state = records[-1].number, records[-1].state
        for version in wanted_versions(self._state):
            if version not in self._posts:
                post = self._posts[version] = Post(version)
                post.task = asyncio.create_task(self._keep(post))
        self._apply()

    def _apply(self) -> None:
        """Tell the fleet who serves now, and let go of who does not any more."""
        ready = {post.version for post in self._posts.values() if post.ready}
        self._shares = shares(self._state, ready, self._shares)
        self._fleet.serve([self._offer(share) for share in self._shares])
        kept = {*wanted_versions(self._state), *(share.version for share in self._shares)}
        for version in [version for version in self._posts if version not in kept]:
            task = asyncio.create_task(self._let_go(self._posts.pop(version)))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _offer(self, share: Share) -> Offer:
        post = self._posts[share.version]
        return Offer(Target(share.version, share.role, share.traffic_ratio, post.size_bytes), post.url)

    async def _keep(self, post: Post) -> None:
        """Keep a predictor at a post until the task is cancelled."""
        deaths = 0
        while True:
            try:
                model_dir = await asyncio.to_thread(self._registry.fetch, post.version, self._cache_dir)
                post.size_bytes = (model_dir / ONNX_FILE).stat().st_size
                steady = await self._one_life(post, model_dir)
            except BelishaError as error:
                post.trouble, steady = str(error), False
                _log.warning("%s", error)
            deaths = 1 if steady else deaths + 1
            await asyncio.sleep(pause_seconds(deaths))
            post.restarts += 1

    async def _one_life(self, post: Post, model_dir: Path) -> bool:
        """Start a predictor, offer it once it is ready, and wait for its death; whether it had lived for long."""
        role = "champion" if post.version == self._state.champion else "challenger"
        post.predictor = await asyncio.to_thread(start_predictor, post.version, role, model_dir, self._settings)
        self._progress(ProgressEvent(f"{_STEP} {post.version}", 0, 1, "ready", "starting"))
        try:
            await post.predictor.wait_until_ready(self._settings.ready_seconds)
        except BaseException:
            post.predictor.kill()
            raise
        self._progress(ProgressEvent(f"{_STEP} {post.version}", 1, 1, "ready", post.predictor.url))
        post.url, post.ready, post.trouble = post.predictor.url, True, ""
        self._apply()
        begin = time.monotonic()
        while post.predictor.alive and self._fleet.unhealthy_seconds(post.url) < _HUNG_SECONDS:
            await asyncio.sleep(_WATCH_SECONDS)
        how = f"has not answered for {_HUNG_SECONDS:g} s" if post.predictor.alive else "died"
        post.predictor.kill()
        post.trouble = f"the predictor of {post.version} {how}: {post.predictor.last_words()}"
        _log.warning("%s", post.trouble)
        return time.monotonic() - begin > _STEADY_SECONDS

    async def _let_go(self, post: Post) -> None:
        """Let a predictor that gets nothing new finish what it has, then stop it."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._fleet.in_flight(post.url) and time.monotonic() < deadline:
            await asyncio.sleep(_WATCH_SECONDS)
        await self._close(post)

    async def _close(self, post: Post) -> None:
        if post.task is not None:
            post.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await post.task
        if post.predictor is not None:
            await post.predictor.stop()
