"""Supervisor of one replica: starts it or finds it again, watches its health, and tells of its end.

One task for each replica, from the decision to start it until Ray says that it is dead. What it learns becomes news
for the `loop`; it decides nothing but whether three health checks in a row have failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from remora.controller import events, rounds
from remora.controller.cluster import ActorFailed, ActorGone, ActorUnavailable, NodeGone, RayReplica
from remora.controller.state import InPlace
from remora.replica.config import NotStarted
from remora.replica.policy import Answer, PolicyQuestion
from remora.types import ReplicaId

log = logging.getLogger("remora.controller")

STRIKES = 3
SLOW_S = 30.0
"""After which a start that goes on is spoken of, as Ray Serve does."""
REACH_AGAIN_S = 1.0
T = TypeVar("T")
Tell = Callable[[events.Event], None]


class Supervisor:
    """Watches one replica."""

    def __init__(
        self, replica: ReplicaId, in_place: InPlace, tell: Tell, release: Callable[[], Awaitable[None]]
    ) -> None:
        """`release` gives back what was reserved for the replica, before anybody hears of its end."""
        self.id = replica
        self._release = release
        self._in_place = in_place
        self._tell = tell
        self._actor: asyncio.Future[RayReplica] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()
        self._configuring = asyncio.Lock()

    async def run(self, begin: Awaitable[RayReplica], start_timeout_s: float) -> None:
        """Watch the replica until it is dead."""
        try:
            actor = await begin
            self._actor.set_result(actor)
            async with asyncio.TaskGroup() as group:
                life = group.create_task(self._life(actor, start_timeout_s))
                await self._death(actor)
                life.cancel()
        except* ActorGone as gone:
            with_node = gone.subgroup(NodeGone) is not None
            await self._release()
            self._tell(events.ReplicaDied(self.id, str(gone.exceptions[0]), with_node))

    async def _death(self, actor: RayReplica) -> None:
        """Wait for the end, and raise ActorGone; a replica that has drained is asked to leave."""
        await _patiently(actor.until_draining)
        self._tell(events.ReplicaDraining(self.id))
        await _patiently(actor.until_drained)
        # The answer to this is the actor's end: another `until_drained` could return before it.
        await _patiently(actor.leave)

    async def _life(self, actor: RayReplica, start_timeout_s: float) -> None:
        slow = asyncio.get_running_loop().call_later(SLOW_S, self._is_slow, start_timeout_s)
        try:
            async with asyncio.timeout(start_timeout_s):
                started = await _patiently(actor.start)
        except ActorFailed as error:
            self._tell(events.ReplicaFailed(self.id, f"replica cannot start: {error}"))
            return
        except TimeoutError:
            message = f"its constructor did not return within {start_timeout_s:g} s"
            self._tell(events.ReplicaFailed(self.id, message, hung=True))
            return
        finally:
            slow.cancel()
        if isinstance(started, NotStarted):
            self._tell(events.ReplicaFailed(self.id, started.message))
            return
        self._tell(events.ReplicaReady(self.id, started.host, started.port))
        await self._watch(actor)

    def _is_slow(self, start_timeout_s: float) -> None:
        message = f"whose constructor has not returned for {SLOW_S:g} s; it has {start_timeout_s:g} s"
        log.warning("replica %s is starting, %s", self.id, message)
        self._tell(events.ReplicaSlow(self.id, message))

    async def _watch(self, actor: RayReplica) -> None:
        strikes = 0
        while True:
            await self._period()
            wrong = await self._check(actor)
            strikes = strikes + 1 if wrong else 0
            if wrong:
                log.warning("replica %s: %s (%d of %d)", self.id, wrong, strikes, STRIKES)
            if strikes == STRIKES:
                self._tell(events.ReplicaFailed(self.id, wrong))
                return

    async def _period(self) -> None:
        """Wait until the next check is due by the settings of now: those of before may say a day."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (left := rounds.due(began, self._in_place.health_check_period_s) - loop.time()) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()

    async def _check(self, actor: RayReplica) -> str:
        timeout_s = self._in_place.health_check_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await actor.check_health()
        except ActorFailed as error:
            return f"check_health cannot be asked: {error}"
        except TimeoutError:
            return f"check_health did not answer within {timeout_s:g} s"

    async def drain(self, grace_s: float) -> None:
        """Tell the replica to finish what it has, and end."""
        (await asyncio.shield(self._actor)).drain(grace_s)

    async def ask_policy(self, question: PolicyQuestion, timeout_s: float) -> Answer:
        """Return what a policy says, or why it says nothing."""
        try:
            async with asyncio.timeout(timeout_s):
                return await (await asyncio.shield(self._actor)).ask_policy(question)
        except TimeoutError:
            return f"policy {question.import_path}: no answer within {timeout_s:g} s"
        except (ActorFailed, ActorGone) as error:
            return f"policy {question.import_path}: {error}"

    async def kill(self) -> None:
        """End the replica."""
        await (await asyncio.shield(self._actor)).kill()

    async def reconfigure(self, in_place: InPlace, settings: str) -> None:
        """Give the replica new settings, one after the other; one that does not take them has failed."""
        self._in_place = in_place
        self._changed.set()
        async with self._configuring:
            if in_place is self._in_place:
                await self._configure(in_place, settings)

    async def _configure(self, in_place: InPlace, settings: str) -> None:
        config, limit = in_place.user_config, in_place.max_ongoing_requests
        try:
            actor = await asyncio.shield(self._actor)
            wrong = await _patiently(lambda: actor.reconfigure(config, limit, settings))
        except ActorFailed as error:
            wrong = str(error)
        except ActorGone:
            return  # Its death is told by `run`.
        if wrong:
            self._tell(events.ReplicaFailed(self.id, wrong))


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer: a replica that cannot be reached for a moment is not dead."""
    while True:
        try:
            return await ask()
        except ActorUnavailable:
            await asyncio.sleep(REACH_AGAIN_S)
