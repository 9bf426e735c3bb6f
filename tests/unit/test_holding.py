"""Requests for an application at zero: kept within bounds, told to the operator, let go with the first replica."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from remora.errors import BackPressureError, DeploymentUnavailable
from remora.proxy.holding import Holding
from remora.proxy.routing import CurrentRouting
from remora.router.router import Router
from remora_api.wire import (
    Activity,
    ApplicationRoutes,
    ApplicationRouting,
    ControllerEndpoint,
    DeploymentRoutes,
    Hold,
    ReplicaAddress,
    RoutesSnapshot,
    Routing,
)

URL = "http://127.0.0.1:1"
HOLD = Hold(requests=2, bytes=100, seconds=30, idle_s=10)
APP = ApplicationRouting(application="app", controllers=(ControllerEndpoint(url=URL),), hold=HOLD)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A proxy's holding, whose controller is what the test says."""

    def __init__(self, hold: Hold = HOLD) -> None:
        self.clock = Clock()
        self.router = Router("k" * 64, rng=Random(1), hold_s=5)
        self.router.follow = lambda urls: None  # type: ignore[assignment,method-assign]
        self.routing = CurrentRouting(self.router, Random(1))
        self.application = APP.but(hold=hold)
        self.routing.apply(Routing(version=1, applications=(self.application,)))
        self.holding = Holding(self.routing, self.router, self.clock, "e")
        self.hold = hold

    def ask(self, size: int = 0) -> asyncio.Task[object]:
        return asyncio.create_task(self.holding.until_ready(self.application, self.hold, size))

    async def activity(self) -> Activity:
        said = await self.holding.newer("", 0, 1)
        assert said is not None
        return said.applications[0].activity

    def replicas(self, *ports: int) -> None:
        addresses = tuple(
            ReplicaAddress(replica=f"app#A#{port}", host="127.0.0.1", port=port, max_ongoing_requests=1)
            for port in ports
        )
        routes = ApplicationRoutes(
            application="app", ingress="A", deployments=(DeploymentRoutes(name="A", replicas=addresses),)
        )
        self.router.cluster(URL).update(RoutesSnapshot(epoch="1", version=1, applications=(routes,)))


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_kept_until_there_is_a_replica_and_told_meanwhile() -> None:
    bench = Bench()
    assert await bench.activity() is Activity.ACTIVE
    heard = asyncio.create_task(bench.holding.newer("e", 1, 30))
    request = bench.ask()
    said = await heard
    assert said is not None
    assert (said.version, said.applications[0].activity) == (2, Activity.WAITING)
    bench.replicas()
    await settle()
    assert not request.done(), "a deployment without replicas is no reason to go on"
    bench.replicas(1)
    assert await request is bench.router.cluster(URL).ingress("app")
    assert await bench.activity() is Activity.ACTIVE
    await bench.router.cluster(URL).close()


async def test_no_more_than_is_allowed_waits() -> None:
    bench = Bench()
    first, second = bench.ask(60), bench.ask(40)
    await settle()
    with pytest.raises(BackPressureError, match="2 requests"):
        await bench.ask()
    first.cancel()
    await settle()
    with pytest.raises(BackPressureError, match="40 bytes"):
        await bench.ask(61)
    third = bench.ask(60)
    await settle()
    assert not third.done()
    for task in (second, third):
        task.cancel()


async def test_no_longer_than_is_allowed() -> None:
    bench = Bench(HOLD.but(seconds=0.01))
    with pytest.raises(DeploymentUnavailable, match="no replica of application 'app' came within"):
        await bench.ask()


async def test_idle_is_what_nobody_asked_for_long_enough() -> None:
    bench = Bench()
    assert await bench.activity() is Activity.ACTIVE
    bench.clock.now = 10
    assert await bench.activity() is Activity.IDLE
    request = bench.ask()
    await settle()
    assert await bench.activity() is Activity.WAITING
    request.cancel()
    await settle()
    assert await bench.activity() is Activity.ACTIVE
    bench.clock.now = 19
    assert await bench.activity() is Activity.ACTIVE
    bench.replicas(1)
    pool = bench.router.cluster(URL).ingress("app")
    assert pool is not None
    await bench.activity()
    bench.clock.now = 25
    pool.arrived += 1
    assert await bench.activity() is Activity.ACTIVE
    bench.clock.now = 34
    assert await bench.activity() is Activity.ACTIVE
    bench.clock.now = 35
    assert await bench.activity() is Activity.IDLE
    await bench.router.cluster(URL).close()


async def test_the_poll_waits_for_something_else() -> None:
    bench = Bench()
    first = await bench.holding.newer("", 0, 0.01)
    assert first is not None
    assert await bench.holding.newer(first.epoch, first.version, 0.01) is None
    assert await bench.holding.newer("another", first.version, 0.01) is not None
