"""Leader election by a Lease: of the operator's replicas one works, the others wait.

The rules are client-go's (tools/leaderelection): a holder renews each `retry_s`; who sees a Lease unchanged for
`lease_duration_s` of its own clock may take it; a holder that could not renew for `renew_deadline_s` stops first.
Clocks of two machines are never compared: only changes that this process saw itself count.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from remora_operator.errors import OperatorError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lease:
    """What a Lease object says."""

    holder: str
    """Identity of the holder; empty when it was given back."""
    renewed: str
    """`renewTime` as it stands; only ever compared with itself."""
    duration_s: int
    transitions: int
    version: str = ""
    """`resourceVersion` that a replacement must name."""


class LeaseConflict(OperatorError):
    """Somebody else wrote the Lease in between."""


class LeaseUnreachable(OperatorError):
    """The API server did not answer, or refused."""


class LeadershipLost(OperatorError):
    """Another may lead by now: stop writing and start over."""


class LeasePort(Protocol):
    """The one Lease in the API server. Methods raise LeaseConflict or LeaseUnreachable."""

    async def read(self) -> Lease | None: ...
    async def create(self, lease: Lease) -> Lease: ...
    async def replace(self, lease: Lease) -> Lease: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """The Lease as last read, and when this process first saw it so."""

    lease: Lease
    at_s: float


def may_take(seen: Seen | None, identity: str, now_s: float) -> bool:
    """Whether the Lease is ours, free, or unchanged for longer than its holder may go without renewing."""
    if seen is None or not seen.lease.holder or seen.lease.holder == identity:
        return True
    return now_s - seen.at_s > seen.lease.duration_s


class Leader:
    """One process's part in the election."""

    def __init__(
        self,
        lease: LeasePort,
        identity: str,
        *,
        clock: Callable[[], float],
        timestamp: Callable[[], str],
        lease_duration_s: int = 15,
        renew_deadline_s: float = 10.0,
        retry_s: float = 2.0,
    ) -> None:
        """`timestamp` writes `renewTime` (RFC 3339 with microseconds); `clock` is monotonic, in seconds."""
        self._lease = lease
        self._identity = identity
        self._clock = clock
        self._timestamp = timestamp
        self._duration_s = lease_duration_s
        self._renew_deadline_s = renew_deadline_s
        self._retry_s = retry_s
        self._seen: Seen | None = None
        self._renewed_at_s: float | None = None

    def is_leading(self) -> bool:
        """Whether a write may begin now: the Lease was renewed within the deadline."""
        return self._renewed_at_s is not None and self._clock() - self._renewed_at_s < self._renew_deadline_s

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the Lease, then run `work` while renewing it; give it back when `work` ends.

        Raises LeadershipLost after cancelling `work` when the Lease could not be kept.
        """
        while not await self._try_to_hold():  # noqa: ASYNC110 - a Lease of another machine wakes nobody
            await asyncio.sleep(self._retry_s)
        log.info("leading", extra={"identity": self._identity})
        working = asyncio.ensure_future(work())
        renewing = asyncio.create_task(self._keep(), name="renew lease")
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost = renewing.done() and not working.done()
            renewing.cancel()
            if not working.done():
                working.cancel()
            await asyncio.gather(renewing, working, return_exceptions=True)
            await self._give_back()
        if lost:
            raise LeadershipLost(f"the Lease could not be renewed for {self._renew_deadline_s:.0f} s; starting over")
        await working

    async def _keep(self) -> None:
        """Renew until it has failed for the whole deadline."""
        while self.is_leading():
            await asyncio.sleep(self._retry_s)
            await self._try_to_hold()

    async def _try_to_hold(self) -> bool:
        """Take or renew the Lease once; an unreachable API server is a try that failed."""
        began_s = self._clock()
        try:
            async with asyncio.timeout(self._renew_deadline_s):
                held = await self._take(began_s)
        except (LeaseConflict, LeaseUnreachable, TimeoutError) as error:
            log.warning("lease not held", extra={"identity": self._identity, "reason": str(error) or "timeout"})
            return False
        if held:
            # Counted from before the request: the API server may have written at any moment since.
            self._renewed_at_s = began_s
        return held

    async def _take(self, now_s: float) -> bool:
        found = await self._lease.read()
        if found is None:
            self._see(await self._lease.create(self._mine(0, "")))
            return True
        if self._seen is None or (self._seen.lease.holder, self._seen.lease.renewed) != (found.holder, found.renewed):
            self._seen = Seen(found, now_s)
        if not may_take(self._seen, self._identity, now_s):
            return False
        changes = found.transitions + (found.holder != self._identity)
        self._see(await self._lease.replace(self._mine(changes, found.version)))
        return True

    def _mine(self, transitions: int, version: str) -> Lease:
        return Lease(self._identity, self._timestamp(), self._duration_s, transitions, version)

    def _see(self, lease: Lease) -> None:
        self._seen = Seen(lease, self._clock())

    async def _give_back(self) -> None:
        """Empty the holder, so that a successor need not wait for the Lease to age. Best effort: it ages anyway."""
        self._renewed_at_s = None
        if self._seen is None or self._seen.lease.holder != self._identity:
            return
        mine = self._seen.lease
        free = Lease("", self._timestamp(), 1, mine.transitions, mine.version)
        try:
            async with asyncio.timeout(self._retry_s):
                await self._lease.replace(free)
        except (LeaseConflict, LeaseUnreachable, TimeoutError) as error:
            log.warning("lease not given back", extra={"identity": self._identity, "reason": str(error) or "timeout"})
