"""What the proxy routes now: the newest of what the operator pushed and what its file says."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from random import Random
from typing import Final

from pydantic import ValidationError

from remora.proxy.routes import RouteTable
from remora.router.pool import Pool
from remora.router.router import Router
from remora_api.wire import ApplicationRouting, Routing

logger = logging.getLogger(__name__)

FILE_CHECK_S: Final = 1.0


class CurrentRouting:
    """Holds the route table and makes the router follow the controllers it names."""

    def __init__(self, router: Router, rng: Random, root_path: str = "") -> None:
        self.version = -1
        self.table = RouteTable()
        self._router = router
        self._rng = rng
        self._root_path = root_path

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
            self._router.follow(endpoint.url for app in routing.applications for endpoint in app.controllers)
            logger.info("routing version %d: %d applications", routing.version, len(routing.applications))
        return True

    def pool(self, application: ApplicationRouting) -> Pool | None:
        """Return the ingress of one of the application's clusters, by weight among those that are ready."""
        endpoints = application.controllers
        if len(endpoints) == 1:
            return self._router.cluster(endpoints[0].url).ingress(application.application)
        found = [(e.weight, self._router.cluster(e.url).ingress(application.application)) for e in endpoints]
        known = [(weight, pool) for weight, pool in found if pool is not None]
        ready = [(weight, pool) for weight, pool in known if pool.ready] or known
        weighted = [(weight, pool) for weight, pool in ready if weight > 0] or ready
        if not weighted:
            return None
        weights = [max(weight, 1) for weight, _ in weighted]
        return self._rng.choices([pool for _, pool in weighted], weights)[0]

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
            self.apply(Routing.model_validate_json(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            logger.warning("the routing file %s is of no use: %s", path, error)
            return None if isinstance(error, OSError) else identity
        return identity
