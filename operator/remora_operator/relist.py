"""Lists everything: once before the first reconcile, and slowly ever after, in case a watch missed something."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from remora_api.meta import Label
from remora_operator.cluster import Cluster
from remora_operator.errors import OperatorError
from remora_operator.kinds import SERVE_APPLICATION, WATCHED, Key
from remora_operator.store import Store

log = logging.getLogger(__name__)

WATCHES_BEGIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Relist:
    """Keeps the store true."""

    cluster: Cluster
    store: Store
    namespaces: tuple[str, ...]
    wake: Callable[[Key], None]

    async def once(self) -> None:
        """List all watched kinds; wake every application about which the store was wrong."""
        for kind in WATCHED:
            selector = "" if kind is SERVE_APPLICATION else Label.APPLICATION
            for namespace in self.namespaces or ("",):
                listing = await self.cluster.list(kind, namespace, selector=selector)
                for key in self.store.replace(kind, namespace, listing.items, listing.version):
                    self.wake(key)

    async def forever(self, period_s: float) -> None:
        """List again every so often, and look at every application.

        The first time soon: what was deleted after the first list and before the watches began, no watch has shown.
        """
        delay_s = WATCHES_BEGIN_S
        while True:
            await asyncio.sleep(delay_s)
            delay_s = period_s
            try:
                await self.once()
            except OperatorError as error:
                log.warning("listing failed", extra={"error": str(error)})
            for key in self.store.applications():
                self.wake(key)
