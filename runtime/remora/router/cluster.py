"""One controller's deployments, as its last snapshot has them: a pool for each.

`router` owns one for every controller it follows.
"""

from __future__ import annotations

import asyncio
import logging
from random import Random
from typing import Final

from remora.http_client import SignedClient
from remora.router import addresses
from remora.router.pool import Choosers, Pool
from remora.router.reports import Own, Reporter
from remora_api.wire import RoutesSnapshot

logger = logging.getLogger(__name__)


LEAVE_CHECK_S: Final = 0.5


class Cluster:
    """`start` to follow the controller, or feed snapshots to `update`; `close` at the end."""

    def __init__(
        self,
        url: str,
        *,
        key: str,
        rng: Random,
        hold_s: float,
        own: Own | None = None,
        choosers: Choosers | None = None,
    ) -> None:
        self.url = url
        self.known = asyncio.Event()
        """A snapshot has come."""
        self.version = 0
        """Of the last snapshot."""
        self._key = key
        self._rng = rng
        self._hold_s = hold_s
        self._choosers = choosers
        self._pools: dict[tuple[str, str], Pool] = {}
        self._ingress: dict[str, str] = {}
        self._retired: list[Pool] = []
        self._changed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reporter = Reporter(f"{rng.getrandbits(64):016x}", lambda: self._pools.values(), own)

    def __repr__(self) -> str:
        return f"<Cluster {self.url} {len(self._pools)} deployments>"

    def start(self) -> None:
        """Begin to follow the controller."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        """Forget everything and cut what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        for pool in (*self._pools.values(), *self._retired):
            await pool.close()
        self._pools.clear()

    async def leave(self) -> None:
        """Take nothing new, and close once all requests have ended; cut them when cancelled."""
        if self._task is not None:
            self._task.cancel()
        self.update(RoutesSnapshot(epoch="", version=0))
        try:
            # Links end one by one without telling anybody, and nobody waits for this.
            while any(not pool.is_empty for pool in self._retired):  # noqa: ASYNC110
                await asyncio.sleep(LEAVE_CHECK_S)
        finally:
            await self.close()

    def pool(self, application: str, deployment: str) -> Pool | None:
        """Return the pool of one deployment, if the snapshot has it."""
        return self._pools.get((application, deployment))

    def ingress(self, application: str) -> Pool | None:
        """Return the pool of an application's ingress, if the snapshot has it."""
        deployment = self._ingress.get(application)
        return self._pools.get((application, deployment)) if deployment else None

    async def wait_changed(self) -> None:
        """Wait for the next snapshot, for which a controller that was away is asked at once."""
        self._wanted.set()
        await self._changed.wait()

    def update(self, snapshot: RoutesSnapshot) -> None:
        """Follow a snapshot."""
        self.version = snapshot.version
        self._ingress = {routes.application: routes.ingress for routes in snapshot.applications if routes.ingress}
        present: set[tuple[str, str]] = set()
        for application in snapshot.applications:
            for deployment in application.deployments:
                name = (application.application, deployment.name)
                present.add(name)
                pool = self._pools.get(name)
                if pool is None:
                    pool = Pool(
                        *name,
                        key=self._key,
                        rng=self._rng,
                        hold_s=self._hold_s,
                        hungry=self._reporter.look,
                        choosers=self._choosers,
                    )
                    self._pools[name] = pool
                pool.update(deployment)
        for name in self._pools.keys() - present:
            pool = self._pools.pop(name)
            pool.retire()
            self._retired.append(pool)
        self._retired = [pool for pool in self._retired if not pool.is_empty]
        self.known.set()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._reporter.look()

    async def _follow(self) -> None:
        async with SignedClient(self.url, self._key) as client, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reporter.run(client))
            await addresses.follow(client, self.update, self._wanted)
