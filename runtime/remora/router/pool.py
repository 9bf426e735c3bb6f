"""The replicas of one deployment, and the requests that wait for one of them.

`open` decides in one synchronous step; whoever finds all replicas full waits in order, and is served by an answer, by a
replica that reports room, or by a new replica. Nothing polls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Protocol

from remora.errors import BackPressureError, DeploymentUnavailable, ReplicaUnavailableError
from remora.router import affinity
from remora.router.affinity import Affinity
from remora.router.balancing import choose
from remora.router.link import Link, State
from remora.router.waiting import Opened, Waiter
from remora.transport.client import ClientStream
from remora.types import CallMetadata, Payload
from remora_api.wire import DeploymentRoutes


class Chooser(Protocol):
    """Decides where calls go in the place of the pool: a request router of the user's own."""

    async def acquire(self, metadata: CallMetadata, arguments: Payload) -> tuple[Link, Any]:
        """Reserve a place for a call; returns it with what `completed` needs."""
        ...

    def completed(self, link: Link, about: Any) -> None:
        """A call is over."""
        ...


Choosers = Callable[["Pool"], Chooser]


class Pool:
    """Made by `cluster` for each deployment in its snapshot."""

    def __init__(
        self,
        application: str,
        deployment: str,
        *,
        key: str,
        rng: Random,
        hold_s: float,
        hungry: Callable[[], None] | None = None,
        choosers: Choosers | None = None,
    ) -> None:
        self.chooser: Chooser | None = None
        """Set while the replicas say that their deployment has a request router of its own."""
        self._choosers = choosers
        self._chooser_of = ""
        self.application = application
        self.deployment = deployment
        self.ever_ready = False
        self.arrived = 0
        """Requests that have come; those that had to try again count again."""
        self.report_s = 0.0
        """Seconds between reports of load that the controller asks for; 0 is none."""
        self._key = key
        self._rng = rng
        self._hold_s = hold_s
        self._wakes_s: float | None = None
        """How long a request may wait for a replica that comes because of it; None where none does."""
        self._hungry = hungry
        """Told when a request begins to wait where there is no replica."""
        self._max_queued = -1
        self._backpressure: Mapping[str, Any] = {}
        """Fields of the deployment's `backpressure_config`, as a replica told them last."""
        self._links: dict[str, Link] = {}
        self._leaving: set[Link] = set()
        self._ready: Sequence[Link] = ()
        self._waiters: deque[Waiter] = deque()
        self._pinned: list[tuple[Waiter, Link]] = []
        """Who waits for one certain replica."""
        self._giving_up: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Pool {self.application}/{self.deployment} {len(self._ready)} ready, {len(self._waiters)} queued>"

    @property
    def ready(self) -> int:
        """Replicas that are connected and take requests."""
        return len(self._ready)

    @property
    def expects(self) -> bool:
        """Whether a request that comes now is taken soon, or is what brings a replica."""
        return bool(self._ready) or self._wakes_s is not None or self._has_hope()

    @property
    def queued(self) -> int:
        """Requests that wait here."""
        return len(self._waiters)

    @property
    def ongoing(self) -> int:
        """Requests of this router that replicas have taken or are about to take."""
        return sum(link.ongoing for link in (*self._links.values(), *self._leaving))

    @property
    def max_queued(self) -> int:
        """Requests that may wait here; -1 is no limit."""
        return self._max_queued

    def refused(self) -> BackPressureError | None:
        """Return what a request ends with that found no room, if it cannot wait for it either."""
        if self._closed or not self._ready or not 0 <= self._max_queued <= len(self._waiters):
            return None
        self.arrived += 1
        return self.refusal(len(self._waiters))

    def refusal(self, queued: int) -> BackPressureError:
        """Return what a request ends with that finds so many waiting."""
        said = self._backpressure
        return BackPressureError(
            queued,
            self._max_queued,
            status_code=said.get("status_code", 503),
            retry_after_s=said.get("retry_after_s"),
            deployment=self.deployment,
        )

    @property
    def links(self) -> Sequence[Link]:
        """All replicas of the last snapshot."""
        return tuple(self._links.values())

    @property
    def is_empty(self) -> bool:
        """Return whether no link is left, leaving ones included."""
        return not self._links and all(link.state is State.CLOSED for link in self._leaving)

    def update(self, routes: DeploymentRoutes) -> None:
        """Follow a snapshot: connect to new addresses, let go of those that left."""
        self._max_queued = routes.max_queued_requests
        self.report_s = routes.report_s
        if routes.hold_s != self._wakes_s:
            self._wakes_s = routes.hold_s
            self._stop_watching()
        wanted = {address.replica: address for address in routes.replicas}
        for replica, link in list(self._links.items()):
            address = wanted.get(replica)
            if address is None or (address.host, address.port) != (link.address.host, link.address.port):
                del self._links[replica]
                self._let_go(link)
            else:
                link.address = address
        for replica, address in wanted.items():
            if replica not in self._links:
                self._links[replica] = link = Link(address, self.application, self._key, self)
                link.start()
        self.link_changed()

    async def close(self) -> None:
        """The deployment is gone: nobody may wait for it, and present requests are cut."""
        self._closed = True
        self._fail_waiters()
        links = [*self._links.values(), *self._leaving]
        self._links.clear()
        self._leaving.clear()
        for link in links:
            await link.close()

    def retire(self) -> None:
        """The deployment has left the snapshot: finish what is under way, take nothing new."""
        self._closed = True
        self._fail_waiters()
        for link in self._links.values():
            self._let_go(link)
        self._links.clear()
        self.link_changed()

    def try_acquire(self, wanted: Affinity | None = None) -> Link | None:
        """Reserve a place on a replica, if one is free and nobody waits; the caller opens a stream or releases it."""
        if self._waiters:
            return None
        link = self._choose(wanted)
        if link is not None:
            self.arrived += 1
            link.reserve()
        return link

    def _choose(self, wanted: Affinity | None) -> Link | None:
        return choose(self._ready, self._rng) if wanted is None else affinity.choose(self._ready, wanted, self._rng)

    async def until_ready(self) -> None:
        """Return when a replica takes requests; no queue limit counts this. Raises DeploymentUnavailable."""
        if not self._ready:
            (await self.acquire(patient=True, limited=False)).release()

    async def acquire(
        self, wanted: Affinity | None = None, *, front: bool = False, patient: bool = False, limited: bool = True
    ) -> Link:
        """Reserve a place on a replica, waiting for one if need be; ``front`` for a request that already had its turn.

        Where there never was a replica, only the patient wait: clients are better told at once, while deployments of
        one application start in any order and may call each other before all are there.
        Raises BackPressureError when too many wait, DeploymentUnavailable when there is nothing to wait for.
        """
        link = self.try_acquire(wanted)
        if link is not None:
            return link
        link, _ = await self._wait(Waiter(wanted, None), front=front, patient=patient, limited=limited)
        return link

    async def open(
        self, kind: int, payload: bytes, wanted: Affinity | None = None, *, front: bool = False, patient: bool = False
    ) -> Opened:
        """Send a request to a replica, waiting for a place if need be; arguments and errors are those of `acquire`."""
        while True:
            link = self.try_acquire(wanted)
            if link is not None:
                stream = link.open(kind, payload)
            else:
                waiter = Waiter(wanted, (kind, payload))
                link, stream = await self._wait(waiter, front=front, patient=patient, limited=True)
            if stream is not None:
                return Opened(link, stream)
            # Lost between being chosen and being used.
            link.release()
            front = True

    async def _wait(
        self, waiter: Waiter, *, front: bool, patient: bool, limited: bool
    ) -> tuple[Link, ClientStream | None]:
        if not front:
            self.arrived += 1
        if self._closed or not (patient or self.ever_ready or self._wakes_s is not None or self._has_hope()):
            raise self._unavailable()
        if limited and 0 <= self._max_queued <= len(self._waiters):
            raise self.refusal(len(self._waiters))
        if front:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        self._watch_hope()
        if not self._ready and self._hungry is not None:
            self._hungry()
        try:
            return await waiter.place()
        finally:
            if waiter.granted.cancelled() and waiter in self._waiters:
                self._waiters.remove(waiter)

    async def acquire_on(self, replica: str) -> Link:
        """Reserve a place on one certain replica, waiting for it if need be; no queue limit counts this.

        Raises ReplicaUnavailableError when it is not, or no longer, among the replicas.
        """
        link = self._links.get(replica)
        if link is None or not link.takes_requests:
            raise _gone(replica)
        waiter = Waiter(None, None)
        self._pinned.append((waiter, link))
        self._serve_pinned()
        link, _ = await waiter.place()
        return link

    def _serve_pinned(self) -> None:
        waiting: list[tuple[Waiter, Link]] = []
        for waiter, link in self._pinned:
            if waiter.granted.done():
                continue
            if not link.takes_requests:
                waiter.granted.set_exception(_gone(link.name))
            elif link.has_room:
                waiter.grant(link)
            else:
                waiting.append((waiter, link))
        self._pinned = waiting

    def _let_go(self, link: Link) -> None:
        self._leaving.add(link)
        link.remove()

    def link_changed(self) -> None:
        """A link takes requests now, or no longer."""
        self._ready = [link for link in self._links.values() if link.takes_requests]
        if self._ready:
            self.ever_ready = True
        if self._leaving:
            self._leaving = {link for link in self._leaving if link.state is not State.CLOSED}
        self.room_made()
        self._watch_hope()

    def room_made(self) -> None:
        """A replica may have room for one more: serve whoever waits."""
        if self._pinned:
            self._serve_pinned()
        while self._waiters:
            link = self._choose(self._waiters[0].wanted)
            if link is None:
                break
            waiter = self._waiters.popleft()
            if not waiter.granted.done():
                waiter.grant(link)

    def facts_changed(self, link: Link) -> None:
        """A replica said something of itself: how a full queue is answered, which request router the deployment has."""
        self._backpressure = link.facts.get("backpressure") or {}
        named = str(link.facts.get("router", ""))
        if self._choosers is None or named == self._chooser_of:
            return
        self._chooser_of = named
        self.chooser = self._choosers(self) if named else None

    def _has_hope(self) -> bool:
        """Whether some replica may take requests soon."""
        return any(link.state is State.CONNECTING or link.state is State.READY for link in self._links.values())

    def _watch_hope(self) -> None:
        """Whoever waits gives up after ``hold_s`` without any replica."""
        if not self._waiters or self._has_hope():
            self._stop_watching()
        elif self._giving_up is None:
            hold_s = self._hold_s if self._wakes_s is None else self._wakes_s
            self._giving_up = asyncio.get_running_loop().call_later(hold_s, self._give_up)

    def _stop_watching(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _give_up(self) -> None:
        self._giving_up = None
        self._fail_waiters()

    def _fail_waiters(self) -> None:
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            if not waiter.granted.done():
                waiter.granted.set_exception(self._unavailable())

    @property
    def names(self) -> tuple[str, ...]:
        """Return the replicas that take requests."""
        return tuple(link.name for link in self._ready)

    def _unavailable(self) -> DeploymentUnavailable:
        return DeploymentUnavailable(f"no replica of {self.deployment!r} of application {self.application!r} is ready")


def _gone(replica: str) -> ReplicaUnavailableError:
    return ReplicaUnavailableError(f"replica {replica} is no longer available")
