"""The supervisor of a replica that takes long to start, with an actor whose answers the test holds back."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from remora.controller import events, supervisor
from remora.controller.cluster import ActorGone, RayReplica
from remora.controller.state import InPlace
from remora.controller.supervisor import Supervisor
from remora.replica.config import Started
from remora.types import ReplicaId

ID = ReplicaId("app#Model#1")


class Held:
    """An actor that starts, and ends, when it is told to."""

    def __init__(self) -> None:
        self.constructed = asyncio.Event()
        self.ended = asyncio.Event()

    async def start(self) -> Started:
        await self.constructed.wait()
        return Started("127.0.0.1", 1, 1)

    async def until_draining(self) -> None:
        await self.ended.wait()
        raise ActorGone("it ended")


class Configured(Held):
    """An actor that takes settings one at a time, each when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.constructed.set()
        self.begun: list[str] = []
        self.one_begun = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.checked = asyncio.Event()

    async def reconfigure(self, user_config: Any, max_ongoing_requests: int, settings: str) -> str:
        self.begun.append(settings)
        self.one_begun.set()
        await self.may_go_on.wait()
        return ""

    async def check_health(self) -> str:
        self.checked.set()
        return ""


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SLOW_S", 0.01)


async def watched(actor: Held, start_timeout_s: float) -> tuple[asyncio.Task[None], asyncio.Queue[events.Event]]:
    told: asyncio.Queue[events.Event] = asyncio.Queue()

    async def begin() -> RayReplica:
        return cast(RayReplica, actor)

    watching = Supervisor(ID, InPlace(max_ongoing_requests=1, user_config=None, **times()), told.put_nowait, nothing)
    return asyncio.create_task(watching.run(begin(), start_timeout_s)), told


async def nothing() -> None:
    """Nothing is reserved."""


def times() -> dict[str, Any]:
    return {"graceful_shutdown_timeout_s": 1, "health_check_period_s": 60, "health_check_timeout_s": 1}


async def test_a_start_that_takes_long_is_spoken_of_and_may_yet_succeed(
    soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    actor = Held()
    running, told = await watched(actor, 30)
    async with asyncio.timeout(10):
        slow = await told.get()
        assert slow == events.ReplicaSlow(ID, "whose constructor has not returned for 0.01 s; it has 30 s")
        assert "app#Model#1 is starting, whose constructor" in caplog.text
        actor.constructed.set()
        assert await told.get() == events.ReplicaReady(ID, "127.0.0.1", 1)
        actor.ended.set()
        await running


async def test_a_start_that_never_ends_has_hung() -> None:
    actor = Held()
    running, told = await watched(actor, 0.01)
    async with asyncio.timeout(10):
        failed = await told.get()
        assert failed == events.ReplicaFailed(ID, "its constructor did not return within 0.01 s", hung=True)
        actor.ended.set()
        await running
    assert told.get_nowait() == events.ReplicaDied(ID, "it ended", False)


async def test_settings_reach_the_replica_in_their_order_and_what_was_overtaken_does_not() -> None:
    actor = Configured()
    supervising, running = supervised(actor)
    async with asyncio.timeout(10), asyncio.TaskGroup() as changes:
        for settings in ("first", "second", "third"):
            in_place = InPlace(max_ongoing_requests=1, user_config=settings, **times())
            changes.create_task(supervising.reconfigure(in_place, settings))
        await actor.one_begun.wait()
        actor.may_go_on.set()
    assert actor.begun in (["first", "third"], ["third"])
    actor.ended.set()
    await running


async def test_a_shorter_health_check_period_is_not_awaited_for_the_longer_one() -> None:
    actor = Configured()
    actor.may_go_on.set()
    supervising, running = supervised(actor)
    async with asyncio.timeout(10):
        in_place = InPlace(max_ongoing_requests=1, user_config=None, **times() | {"health_check_period_s": 0.01})
        await asyncio.sleep(0)
        assert not actor.checked.is_set()
        await supervising.reconfigure(in_place, "new")
        await actor.checked.wait()
        actor.ended.set()
        await running


def supervised(actor: Held) -> tuple[Supervisor, asyncio.Task[None]]:
    async def begin() -> RayReplica:
        return cast(RayReplica, actor)

    made = Supervisor(ID, InPlace(max_ongoing_requests=1, user_config=None, **times()), lambda _: None, nothing)
    return made, asyncio.create_task(made.run(begin(), 30))
