"""What the proxy routes now: the newest of what the operator pushed and what its file says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from remora.proxy.routes import RouteTable
from remora.proxy.splitting import Header, Split
from remora.router.pool import Pool
from remora.router.router import Router
from remora_api.message import Unreadable
from remora_api.wire import ApplicationRouting, Routing

logger = logging.getLogger(__name__)

FILE_CHECK_S: Final = 1.0


class Picked(NamedTuple):
    """Where a request goes."""

    pool: Pool | None
    """None if the application has no replica that is known."""
    revision: str = ""
    """Its revision, while the application has two."""
    cookie: bytes = b""
    """To be set, so that the client is known again."""


class CurrentRouting:
    """Holds the route table and makes the router follow the controllers it names."""

    def __init__(self, router: Router, rng: Random, root_path: str = "") -> None:
        self.version = -1
        self.on_revisions: Callable[[Collection[tuple[str, str]]], None] | None = None
        """Told the applications that have two revisions, and these, whenever the routing changes."""
        self.table = RouteTable()
        self._router = router
        self._rng = rng
        self._root_path = root_path
        self._splits: dict[tuple[str, str], Split] = {}

    @property
    def known(self) -> bool:
        """Whether anything was pushed or read."""
        return self.version >= 0

    def apply(self, routing: Routing) -> bool:
        """Use a routing unless it is older than the present one; return whether it is in use now."""
        if routing.version < self.version:
            return False
        if routing.version > self.version or routing.applications != self.table.applications:
            self.version = routing.version
            self.table = RouteTable(routing.applications, self._root_path)
            self._splits = {
                (app.namespace, app.application): Split(app) for app in routing.applications if len(app.controllers) > 1
            }
            self._router.follow(endpoint.url for app in routing.applications for endpoint in app.controllers)
            if self.on_revisions is not None:
                self.on_revisions(
                    {(app.application, it.revision) for app in routing.applications for it in app.controllers}
                )
            logger.info("routing version %d: %d applications", routing.version, len(routing.applications))
        return True

    @property
    def followed(self) -> dict[str, int]:
        """The version of its routes that is in use, for each controller; 0 before the first."""
        return self._router.followed

    def pick(self, application: ApplicationRouting, headers: Sequence[Header]) -> Picked:
        """Return the ingress of the cluster that a request goes to; of another one while that is not ready."""
        endpoints = application.controllers
        if len(endpoints) == 1:
            return Picked(self._router.cluster(endpoints[0].url).ingress(application.application))
        split = self._splits.get((application.namespace, application.application))
        if split is None or not endpoints:
            return Picked(None)
        index, cookie = split.share(headers, self._rng.random)
        # Whoever takes its place: those with a share first, and at last any that is known.
        by_weight = sorted((i for i in range(len(endpoints)) if i != index), key=lambda i: -endpoints[i].weight)
        unready = Picked(None)
        for i in (index, *by_weight):
            pool = self._router.cluster(endpoints[i].url).ingress(application.application)
            if pool is not None and pool.ready:
                return Picked(pool, endpoints[i].revision, cookie)
            if pool is not None and unready.pool is None:
                unready = Picked(pool, endpoints[i].revision, cookie)
        return unready

    def pool(self, application: ApplicationRouting) -> Pool | None:
        """Return the ingress that a request without headers would go to."""
        return self.pick(application, ()).pool

    def mirror(self, application: ApplicationRouting, revision: str) -> tuple[str, Pool | None] | None:
        """Return the revision that a request is repeated to, and its ingress; None for those that are not repeated."""
        mirror = application.mirror
        if mirror is None or mirror.revision == revision or self._rng.random() * 100 >= mirror.percent:
            return None
        split = self._splits.get((application.namespace, application.application))
        index = split.index_of.get(mirror.revision) if split is not None else None
        if index is None:
            return None
        return mirror.revision, self._router.cluster(application.controllers[index].url).ingress(
            application.application
        )

    async def watch(self, path: Path) -> None:
        """Read the file when it changes, until cancelled. A ConfigMap's files are replaced, never written in place."""
        seen: tuple[int, int] | None = None
        while True:
            seen = self.read(path, seen)
            await asyncio.sleep(FILE_CHECK_S)

    def read(self, path: Path, seen: tuple[int, int] | None = None) -> tuple[int, int] | None:
        """Apply the file if it is another than ``seen``; return what identifies it now."""
        try:
            stat = path.stat()
            identity = (stat.st_mtime_ns, stat.st_ino)
            if identity == seen:
                return seen
            self.apply(Routing.from_json(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, Unreadable) as error:
            logger.warning("the routing file %s is of no use: %s", path, error)
            return None if isinstance(error, OSError) else identity
        return identity
