"""Holding: requests for an application that is at zero wait here, bounded, until it has a replica; and the operator
hears of them, as it is the one who wakes the application.

    request → no replica → `until_ready` → Activity.WAITING → operator → replicas → the request goes on
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from remora.errors import BackPressureError, DeploymentUnavailable
from remora.proxy.routing import CurrentRouting
from remora.router.pool import Pool
from remora.router.router import Router
from remora_api.wire import Activity, ApplicationActivity, ApplicationRouting, Hold, ProxyActivity

LOOK_S: Final = 1.0
AGAIN_S: Final = 1.0


@dataclass(slots=True)
class _Held:
    """What is kept, and known, of one application."""

    requests: int = 0
    bytes: int = 0
    seen: tuple[tuple[str, int], ...] = ()
    busy_at: float = 0.0
    activity: Activity = Activity.ACTIVE


class Holding:
    """One in a proxy. `watch` runs for its life; `newer` is the operator's long poll."""

    def __init__(self, routing: CurrentRouting, router: Router, clock: Callable[[], float], epoch: str) -> None:
        self._routing = routing
        self._router = router
        self._clock = clock
        self._epoch = epoch
        self._version = 0
        self._said: tuple[ApplicationActivity, ...] | None = None
        self._held: dict[str, _Held] = {}
        self._moved = asyncio.Event()
        self._ticked = asyncio.Event()

    async def until_ready(self, application: ApplicationRouting, hold: Hold, size: int, *, again: bool = False) -> Pool:
        """Return the pool of an application that has a replica, or is about to, waiting for one if need be.

        ``size`` is what has come of the request's body, in bytes; ``again`` after that pool had none after all.
        Raises BackPressureError when too much waits, DeploymentUnavailable when none came in time.
        """
        name = application.application
        held = self._held.setdefault(name, _Held(busy_at=self._clock()))
        if held.requests >= hold.requests or held.bytes + size > hold.bytes:
            raise BackPressureError(
                held.requests,
                hold.requests,
                text=f"application {name!r} is being started, and {held.requests} requests ({held.bytes} bytes) "
                "wait already",
            )
        held.requests += 1
        held.bytes += size
        self._look()
        try:
            async with asyncio.timeout(hold.seconds):
                if again:
                    await asyncio.sleep(AGAIN_S)
                while True:
                    pool = next((pool for _, pool in self._ingresses(name) if pool.expects), None)
                    if pool is not None:
                        return pool
                    await self._changed(name)
        except TimeoutError:
            raise DeploymentUnavailable(f"no replica of application {name!r} came within {hold.seconds:g} s") from None
        finally:
            held.requests -= 1
            held.bytes -= size
            self._look()

    async def watch(self) -> None:
        """Notice, about once a second, that an application has become idle; until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._look()
            # Whoever waits looks whether the routing names other controllers now.
            ticked, self._ticked = self._ticked, asyncio.Event()
            ticked.set()

    async def newer(self, epoch: str, after: int, timeout_s: float) -> ProxyActivity | None:
        """Return what this proxy has to do, at once if that was not heard yet, else when it changes; None in vain."""
        self._look()
        try:
            async with asyncio.timeout(timeout_s):
                while epoch == self._epoch and self._version <= after:
                    await self._moved.wait()
        except TimeoutError:
            return None
        return ProxyActivity(epoch=self._epoch, version=self._version, applications=self._said or ())

    def _ingresses(self, name: str) -> list[tuple[str, Pool]]:
        """Return the application's ingress in each of its Ray clusters, by its controller."""
        found = ((url, self._router.cluster(url).ingress(name)) for url in self._controllers(name))
        return [(url, pool) for url, pool in found if pool is not None]

    def _controllers(self, name: str) -> list[str]:
        routed = (it for it in self._routing.table.applications if it.application == name)
        return [endpoint.url for it in routed for endpoint in it.controllers]

    async def _changed(self, name: str) -> None:
        """Wait until there may be other replicas than now."""
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._ticked.wait())]
        waits += [asyncio.ensure_future(self._router.cluster(url).wait_changed()) for url in self._controllers(name)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _look(self) -> None:
        """Work out anew what there is to do, and tell whoever waits when it is something else."""
        now = self._clock()
        routed = [it for it in self._routing.table.applications if it.hold is not None]
        names = {it.application for it in routed}
        self._held = {name: held for name, held in self._held.items() if name in names or held.requests}
        for it in routed:
            held = self._held.setdefault(it.application, _Held(busy_at=now))
            pools = self._ingresses(it.application)
            seen = tuple((url, pool.arrived) for url, pool in pools)
            ongoing = sum(pool.ongoing + pool.queued for _, pool in pools)
            if held.requests or ongoing or seen != held.seen:
                held.seen, held.busy_at = seen, now
            assert it.hold is not None
            idle = now - held.busy_at >= it.hold.idle_s
            held.activity = Activity.WAITING if held.requests else Activity.IDLE if idle else Activity.ACTIVE
        said = tuple(
            ApplicationActivity(application=name, activity=self._held[name].activity) for name in sorted(names)
        )
        if said != self._said:
            self._said = said
            self._version += 1
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()
