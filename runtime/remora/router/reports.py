"""Reports of load: what one process tells a controller of the requests that it knows of, while the controller asks.

Nothing is done for a request but counting it. A report goes out once a period while there are requests, and every few
seconds while there are none; at once when a request waits for a deployment that has no replica, as it is the wake-up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from remora.http_client import HttpError, SignedClient
from remora.router.pool import Pool
from remora_api.wire import DeploymentLoad, LoadReport

logger = logging.getLogger(__name__)

HEARTBEAT_S: Final = 5.0
"""Between reports that say nothing new."""
GAP_S: Final = 0.05
"""Between reports at the least."""
TIMEOUT_S: Final = 5.0

Own = Callable[[], tuple[str, int]]
"""A replica's id, and the requests that it works on."""


class Reporter:
    """Tells one controller. `run` until cancelled; `look` when something may have to be told at once."""

    def __init__(self, name: str, pools: Callable[[], Iterable[Pool]], own: Own | None = None) -> None:
        self._name = name
        self._pools = pools
        self._own = own
        self._wake = asyncio.Event()

    def look(self) -> None:
        """The controller asks for something else than before, or a request waits for a first replica."""
        self._wake.set()

    async def run(self, client: SignedClient) -> None:
        """Report until cancelled."""
        loop = asyncio.get_running_loop()
        told: LoadReport | None = None
        beat_at = 0.0
        while True:
            period_s = min((pool.report_s for pool in self._pools() if pool.report_s > 0), default=None)
            if period_s is not None:
                report = self._report(period_s)
                if report != told or _is_busy(report) or loop.time() >= beat_at:
                    told = report if await self._send(client, report) else None
                    beat_at = loop.time() + HEARTBEAT_S
                await asyncio.sleep(GAP_S)
            try:
                async with asyncio.timeout(period_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    def _report(self, period_s: float) -> LoadReport:
        loads = tuple(
            DeploymentLoad(
                application=pool.application,
                deployment=pool.deployment,
                queued=pool.queued,
                ongoing=pool.ongoing,
                arrived=pool.arrived,
            )
            for pool in self._pools()
            if pool.report_s > 0
        )
        replica, ongoing = self._own() if self._own is not None else ("", 0)
        quiet = not ongoing and not any(load.queued or load.ongoing for load in loads)
        return LoadReport(
            reporter=self._name,
            next_s=max(period_s, HEARTBEAT_S) if quiet else period_s,
            deployments=loads,
            replica=replica,
            replica_ongoing=ongoing,
        )

    async def _send(self, client: SignedClient, report: LoadReport) -> bool:
        body = report.to_json()
        try:
            await client.request("POST", "/v1/loads", body, timeout_s=TIMEOUT_S)
        except HttpError as error:
            # The poll for routes says so, too, when the controller is away.
            logger.debug("the load was not reported: %s", error)
            return False
        return True


def _is_busy(report: LoadReport) -> bool:
    return report.replica_ongoing > 0 or any(load.queued or load.ongoing for load in report.deployments)
