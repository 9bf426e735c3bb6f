"""The router: what handles call (`types.Caller`) and what the proxy asks for pools. One in each process.

Follows any number of controllers: a replica's router follows one, a proxy's all that its routing names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from random import Random
from typing import Final

from remora.errors import DeploymentUnavailable
from remora.router import calls
from remora.router.calls import Reservation
from remora.router.cluster import Cluster
from remora.router.pool import Choosers, Pool
from remora.router.reports import Own
from remora.types import CallMetadata, Payload

HOLD_S: Final = 5.0
"""How long a request waits for a deployment that had replicas before, or for a first snapshot."""


class Router:
    """`follow` controllers, then call; `close` at the end. Everything happens on one event loop."""

    def __init__(
        self,
        key: str,
        *,
        controllers: Iterable[str] = (),
        rng: Random | None = None,
        hold_s: float = HOLD_S,
        own: Own | None = None,
        choosers: Choosers | None = None,
    ):
        self._key = key
        self._rng = rng or Random()
        self._hold_s = hold_s
        self._own = own
        """Of a replica: what it works on, to be reported to its controller with the rest."""
        self._choosers = choosers
        """Makes what stands for a deployment's own request router; None in processes that run no user code."""
        self._first = tuple(controllers)
        self._clusters: dict[str, Cluster] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Router {list(self._clusters.values())}>"

    async def start(self) -> None:
        """Follow the controllers given at the beginning."""
        self.follow(self._first)

    async def close(self) -> None:
        """Close all connections and cut what is under way."""
        for task in self._closing:
            task.cancel()
        clusters, self._clusters = list(self._clusters.values()), {}
        await asyncio.gather(*self._closing, *(it.close() for it in clusters), return_exceptions=True)

    def follow(self, controllers: Iterable[str]) -> None:
        """Follow exactly these controllers: begin with new ones, let requests to the others end and forget them."""
        wanted = list(dict.fromkeys(controllers))
        for url in self._clusters.keys() - set(wanted):
            task = asyncio.get_running_loop().create_task(self._clusters.pop(url).leave())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        for url in wanted:
            if url not in self._clusters:
                self.cluster(url).start()

    async def is_told(self, within_s: float) -> bool:
        """Wait until each controller that is followed has told its first routes; return whether they did in time."""
        try:
            async with asyncio.timeout(within_s):
                for cluster in tuple(self._clusters.values()):
                    await cluster.known.wait()
        except TimeoutError:
            return False
        return True

    @property
    def followed(self) -> dict[str, int]:
        """The version of its routes that is in use, for each controller that is followed; 0 before the first."""
        return {url: cluster.version for url, cluster in self._clusters.items()}

    async def reached(self, url: str, version: int) -> None:
        """Wait until this version of the controller's routes is in use."""
        while self.cluster(url).version < version:
            await self.cluster(url).wait_changed()

    def cluster(self, url: str) -> Cluster:
        """Return the cluster of one controller; a new one does not follow it yet."""
        cluster = self._clusters.get(url)
        if cluster is None:
            cluster = Cluster(
                url, key=self._key, rng=self._rng, hold_s=self._hold_s, own=self._own, choosers=self._choosers
            )
            self._clusters[url] = cluster
        return cluster

    # ── types.Caller ─────────────────────────────────────────────────────────────────────────────────────────────

    async def call(self, application: str, deployment: str, metadata: CallMetadata, payload: Payload) -> Payload:
        """Run one call on some replica. Cancelling the task cancels the call there."""
        async with asyncio.timeout(metadata.deadline_s):
            pool = self._pool(application, deployment) or await self._appeared(application, deployment)
            return await calls.call(pool, metadata, payload)

    async def stream(
        self, application: str, deployment: str, metadata: CallMetadata, payload: Payload
    ) -> AsyncGenerator[Payload]:
        """Run one streaming call; closing the iterator cancels it."""
        pool = self._pool(application, deployment) or await self._appeared(application, deployment)
        async with aclosing(calls.stream(pool, metadata, payload)) as items:
            async for item in items:
                yield item

    async def replicas(self, application: str, deployment: str) -> tuple[str, ...]:
        """Return the replicas that take requests, after waiting for one if there is none yet."""
        pool = self._pool(application, deployment) or await self._appeared(application, deployment)
        await pool.until_ready()
        return pool.names

    async def reserve(
        self, application: str, deployment: str, metadata: CallMetadata, replica: str = ""
    ) -> Reservation:
        """Take a place on a replica: the named one, or the one that a call would go to."""
        pool = self._pool(application, deployment) or await self._appeared(application, deployment)
        return await calls.reserve(pool, metadata, replica)

    def knows(self, application: str, deployment: str) -> bool:
        """Return whether a replica of the deployment takes requests."""
        pool = self._pool(application, deployment)
        return pool is not None and pool.ready > 0

    def _pool(self, application: str, deployment: str) -> Pool | None:
        for cluster in self._clusters.values():
            # Handles of a whole application name no deployment: they mean its ingress.
            pool = cluster.pool(application, deployment) if deployment else cluster.ingress(application)
            if pool is not None:
                return pool
        return None

    async def _appeared(self, application: str, deployment: str) -> Pool:
        """Wait for a snapshot that has the deployment; raises DeploymentUnavailable."""
        try:
            async with asyncio.timeout(self._hold_s):
                while True:
                    pool = self._pool(application, deployment)
                    if pool is not None:
                        return pool
                    await self._next_snapshot()
        except TimeoutError:
            raise DeploymentUnavailable(
                f"no controller knows a deployment {deployment!r} of application {application!r}"
            ) from None

    async def _next_snapshot(self) -> None:
        waits = [asyncio.ensure_future(cluster.wait_changed()) for cluster in self._clusters.values()]
        if not waits:
            raise DeploymentUnavailable("this process follows no controller")
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
