"""Ten times more than there is room for: who has a place is served, who has none is told at once, nothing piles up."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx

from remora.proxy.server import ProxyServer
from remora_api.wire import ApplicationRouting, ControllerEndpoint, Routing
from tests.fakes.processes import proxy
from tests.fakes.services import CONTROLLER, Steered, replica, snapshot, until

WORKING, WAITING = 5, 10
ROOM = WORKING + WAITING
WAVES = 5


async def wave(server: ProxyServer, client: httpx.AsyncClient, service: Steered) -> tuple[Counter[int], Counter[int]]:
    """Ask ten times as much as there is room for; return the answers while all are busy, and those after."""
    service.gate.clear()
    asked = [asyncio.create_task(client.get("/wait")) for _ in range(10 * ROOM)]
    # Nobody who has a place is done before all others have been told.
    await until(lambda: sum(task.done() for task in asked) >= 9 * ROOM, within_s=20)
    busy = Counter(task.result().status_code for task in asked if task.done())
    pool = server.router.cluster(CONTROLLER).ingress("app")
    assert pool is not None
    assert (pool.ongoing, pool.queued) == (WORKING, WAITING)
    # Without a body to be written at once, by a task; the same answer for all that.
    assert (await client.head("/wait")).status_code == 503
    service.gate.set()
    answers = [await task for task in asked]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert all("retry-after" in answer.headers for answer in refused)
    assert (pool.ongoing, pool.queued) == (0, 0)
    return busy, Counter(answer.status_code for answer in answers)


async def test_overload_is_refused_at_once_and_leaves_nothing_behind() -> None:
    service = Steered()
    async with replica(service, max_ongoing_requests=WORKING) as (host, address):
        server = proxy()
        await server.start()
        try:
            server.router.cluster(CONTROLLER).update(snapshot(1, [address], max_queued_requests=WAITING))
            routing = ApplicationRouting(application="app", controllers=(ControllerEndpoint(url=CONTROLLER),))
            server.routing.apply(Routing(version=1, applications=(routing,)))
            pool = server.router.cluster(CONTROLLER).ingress("app")
            assert pool is not None
            await until(lambda: pool.ready)
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=10 * ROOM)
            url = f"http://127.0.0.1:{server.port}"
            async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:
                tasks = 0
                for number in range(WAVES):
                    busy, all_answers = await wave(server, client, service)
                    assert busy == {503: 9 * ROOM}
                    assert all_answers == {503: 9 * ROOM, 200: ROOM}, "full throughput for what is admitted"
                    # At once: as many as there is room for are served right after it.
                    after = await asyncio.gather(*(client.get("/wait") for _ in range(ROOM)))
                    assert {answer.status_code for answer in after} == {200}
                    await until(lambda: host.ongoing == 0 and server.metrics.ongoing == 0)
                    if number == 0:
                        tasks = len(asyncio.all_tasks())
                    assert len(asyncio.all_tasks()) <= tasks
                assert sum(len(connection.streams) for connection in host.connections) == 0
        finally:
            await server.stop()
