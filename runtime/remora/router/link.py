"""One replica as a router sees it: keeps a connection to its address for as long as the address is in the snapshot.

Owned by a `pool`, which hears of every change. The states are a table:

    CONNECTING ─CONNECTED─▶ READY ─LOST─▶ RETRYING ─CONNECTED─▶ READY
        └─FAILED─▶ RETRYING     └─GOAWAY, REMOVED─▶ DRAINING ─LOST, EMPTY─▶ CLOSED
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Final, Protocol

from remora.errors import ProtocolError
from remora.router.balancing import loads_elsewhere
from remora.transport.client import ClientConnection, ClientStream, connect
from remora.transport.handshake import Identity
from remora_api.wire import ReplicaAddress

logger = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 0.1
LAST_RETRY_S: Final = 2.0


class State(Enum):
    """Where a link is in its life."""

    CONNECTING = auto()
    """For the first time: a request may wait for it."""
    READY = auto()
    RETRYING = auto()
    """It failed, or was lost: nobody should count on it."""
    DRAINING = auto()
    """Finishes its streams; takes nothing new."""
    CLOSED = auto()


class Event(Enum):
    """What happens to a link."""

    CONNECTED = auto()
    FAILED = auto()
    LOST = auto()
    GOAWAY = auto()
    REMOVED = auto()
    EMPTY = auto()


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.CONNECTING, Event.CONNECTED): State.READY,
    (State.CONNECTING, Event.FAILED): State.RETRYING,
    (State.CONNECTING, Event.REMOVED): State.CLOSED,
    (State.READY, Event.LOST): State.RETRYING,
    (State.READY, Event.GOAWAY): State.DRAINING,
    (State.READY, Event.REMOVED): State.DRAINING,
    (State.RETRYING, Event.CONNECTED): State.READY,
    (State.RETRYING, Event.FAILED): State.RETRYING,
    (State.RETRYING, Event.REMOVED): State.CLOSED,
    (State.DRAINING, Event.GOAWAY): State.DRAINING,
    (State.DRAINING, Event.REMOVED): State.DRAINING,
    (State.DRAINING, Event.LOST): State.CLOSED,
    (State.DRAINING, Event.EMPTY): State.CLOSED,
}


class Owner(Protocol):
    """Whom a link tells how it fares: its pool."""

    def link_changed(self) -> None:
        """The link takes requests now, or no longer."""
        ...

    def facts_changed(self, link: Link) -> None:
        """The replica said something of itself."""
        ...

    def room_made(self) -> None:
        """The link may have room for one more."""
        ...


class Link:
    """Use: `start`, then `open` while READY and `has_room`; `remove` when the address leaves the snapshot."""

    __slots__ = (
        "_connection", "_elsewhere", "_full", "_key", "_lost", "_owner", "_refused", "_silent", "_task",
        "address", "facts", "identity", "models", "ongoing", "state",
    )  # fmt: skip

    def __init__(self, address: ReplicaAddress, application: str, key: str, owner: Owner) -> None:
        self.address = address
        self.identity = Identity(application, address.revision, address.replica)
        self.state = State.CONNECTING
        self.models: frozenset[str] = frozenset()
        """Multiplexed models that the replica holds, as it told."""
        self.facts: Mapping[str, Any] = {}
        """What else it told."""
        self.ongoing = 0
        """Streams of this router, those about to be opened included."""
        self._key = key
        self._owner = owner
        self._connection: ClientConnection | None = None
        self._elsewhere = 0
        self._full = False
        self._refused = False
        self._silent = False
        self._lost: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        limit = self.address.max_ongoing_requests
        return f"<Link {self.address.replica} {self.state.name} {self.ongoing}/{limit}>"

    @property
    def name(self) -> str:
        """Unique name of the replica."""
        return self.address.replica

    @property
    def load(self) -> int:
        """Requests that are known to be on the replica."""
        return self.ongoing + self._elsewhere

    @property
    def has_room(self) -> bool:
        """Whether it may take one more, as far as this router knows."""
        return self.ongoing < self.address.max_ongoing_requests and not self._full

    def passed_over(self) -> None:
        """Another replica was taken for its lower load: what this one reported is believed a little less."""
        if self._elsewhere:
            self._elsewhere -= 1

    @property
    def takes_requests(self) -> bool:
        """Whether it is connected, and its process answers."""
        return self.state is State.READY and not self._silent

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.get_running_loop().create_task(self._keep_connected())

    def reserve(self) -> None:
        """Count a request that is about to be opened."""
        self.ongoing += 1

    def release(self) -> None:
        """A reserved or opened request is over."""
        self.ongoing -= 1
        if self._refused:
            self._refused = False
        else:
            self._full = False
        if self.state is State.DRAINING and self.ongoing == 0:
            self._close()
        self._owner.room_made()

    def open(self, kind: int, payload: bytes, *, at_once: bool = False) -> ClientStream | None:
        """Open a stream for a reserved request, and release it when it is over; None if the link was lost meanwhile.

        ``at_once``: the frame does not wait for others of this turn.
        """
        if self._connection is None or self.state is not State.READY:
            return None
        stream = self._connection.open(kind, payload, self.release)
        if at_once:
            self._connection.flush()
        return stream

    def reported(self, load: int) -> None:
        """An answer told the replica's load."""
        self._elsewhere = loads_elsewhere(load, self.ongoing)

    def remove(self) -> None:
        """The address has left the snapshot: nothing new; close when the last stream ends."""
        if self.state is State.CLOSED:
            return
        if self._become(Event.REMOVED) is State.CLOSED or self.ongoing == 0:
            self._close()

    def _close(self) -> None:
        if self.state is State.DRAINING:
            self._become(Event.EMPTY)
        if self._task is not None:
            self._task.cancel()
        if self._connection is not None:
            self._connection.close()

    async def close(self) -> None:
        """Close now, whatever is under way."""
        self.state = State.CLOSED
        if self._connection is not None:
            self._connection.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def _become(self, event: Event) -> State:
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise AssertionError(f"{event.name} cannot happen to {self!r}")
        self.state = following
        return following

    async def _keep_connected(self) -> None:
        delay_s = FIRST_RETRY_S
        while self.state in (State.CONNECTING, State.RETRYING):
            lost = self._lost = asyncio.Event()
            try:
                connection = await connect(
                    self.address.host, self.address.port, key=self._key, identity=self.identity, listener=self
                )
            except (OSError, TimeoutError, ProtocolError) as error:
                if self.state is State.CONNECTING:
                    reason = str(error) or type(error).__name__
                    logger.warning("cannot reach replica %s: %s", self.address.replica, reason)
                self._become(Event.FAILED)
                self._owner.link_changed()
                await asyncio.sleep(delay_s)
                delay_s = min(LAST_RETRY_S, delay_s * 2)
                continue
            if lost.is_set():
                continue
            self._connection = connection
            delay_s = FIRST_RETRY_S
            self._full = self._refused = self._silent = False
            self._become(Event.CONNECTED)
            self._owner.link_changed()
            await lost.wait()

    # ── transport.client.Listener ────────────────────────────────────────────────────────────────────────────────

    def on_load(self, load: int) -> None:
        """The replica has room again."""
        self._full = False
        self._elsewhere = loads_elsewhere(load, self.ongoing)
        self._owner.room_made()

    def on_refused(self, load: int) -> None:
        """The replica had no room: leave it alone until something changes there."""
        self._elsewhere = loads_elsewhere(load, self.ongoing)
        # The refused request is released next, which makes no room.
        self._full = self._refused = True

    def on_models(self, models: frozenset[str]) -> None:
        """The replica holds these models now."""
        self.models = models

    def on_facts(self, facts: Mapping[str, Any]) -> None:
        """The replica said something of itself."""
        self.facts = facts
        self._owner.facts_changed(self)

    def on_goaway(self) -> None:
        """The replica drains."""
        if self.state in (State.READY, State.DRAINING):
            self._become(Event.GOAWAY)
            self._owner.link_changed()

    def on_silence(self, silent: bool) -> None:
        """The replica's process is too busy to speak, or speaks again."""
        self._silent = silent
        self._owner.link_changed()

    def on_lost(self, error: Exception | None) -> None:
        """The connection is over."""
        self._connection = None
        self.models = frozenset()
        if self._lost is not None:
            self._lost.set()
        if self.state in (State.READY, State.DRAINING):
            self._become(Event.LOST)
            self._owner.link_changed()
