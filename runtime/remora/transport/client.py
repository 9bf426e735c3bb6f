"""The calling end: opens streams on a connection to one replica. The router decides on which.

client.connect → ClientConnection.open → ClientStream.read … | Refused | LinkLost
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from remora.errors import ProtocolError, RemoraError
from remora.transport import nearby
from remora.transport.connection import HANDSHAKE_S, Connection
from remora.transport.credits import WINDOW_BYTES
from remora.transport.frames import (
    ACCEPT,
    CANCEL,
    CHALLENGE,
    CREDIT,
    DATA,
    END,
    FACTS,
    FAILURE,
    GOAWAY,
    ITEM,
    LOAD,
    MESSAGE,
    MODELS,
    PING,
    PROOF,
    REFUSED,
    RESPONSE,
    RESULT,
    WELCOME,
    unpack_u32,
)
from remora.transport.handshake import NONCE_BYTES, ClientHandshake, HandshakeError, Identity
from remora.transport.messages import unpack_facts, unpack_models
from remora.transport.stream import Stream, StreamClosed

logger = logging.getLogger(__name__)

_ANSWERS: Final = frozenset((RESPONSE, RESULT, ITEM, FAILURE, DATA, MESSAGE))
_MAX_STREAM_ID: Final = 2**32 - 1


class Refused(RemoraError):
    """The replica is full or drains; it has looked at nothing."""

    def __init__(self, load: int) -> None:
        super().__init__(f"the replica refused the request at load {load}")


class LinkLost(RemoraError):
    """The connection ended under the stream. ``started``: the user's code has begun, or may have."""

    def __init__(self, started: bool, why: str) -> None:
        super().__init__(why)
        self.started = started


class Listener(Protocol):
    """Who has to know how a connection fares: the router's link."""

    def on_load(self, load: int) -> None:
        """The replica has room again."""
        ...

    def on_refused(self, load: int) -> None:
        """The replica has no room for a stream, which is closed right after this."""
        ...

    def on_models(self, models: frozenset[str]) -> None:
        """The replica holds these multiplexed models now."""
        ...

    def on_facts(self, facts: dict[str, Any]) -> None:
        """What routers may know of the replica."""
        ...

    def on_goaway(self) -> None:
        """The replica takes nothing new."""
        ...

    def on_silence(self, silent: bool) -> None:
        """The replica's process has become silent, or speaks again."""
        ...

    def on_lost(self, error: Exception | None) -> None:
        """A connection that `connect` returned, or was about to, is over; its streams have been told."""
        ...


class ClientStream(Stream):
    """One request to a replica. Whoever opened it reads until a frame with END, or cancels."""

    __slots__ = ("_connection", "_on_closed", "accepted", "on_event", "sent_bytes")

    def __init__(self, connection: ClientConnection, id: int, on_closed: Callable[[], None]) -> None:
        # No credit before ACCEPT: until then only the first part is on its way, and can be sent elsewhere.
        super().__init__(connection, id, 0)
        self.accepted = False
        self.sent_bytes = 0
        """The opening frame is with the other host once so many bytes of the connection are."""
        self.on_event: Callable[[], None] | None = None
        """Called when a frame has come or the stream was closed, for who looks instead of waiting in `read`."""
        self._connection = connection
        self._on_closed = on_closed

    def deliver(self, kind: int, payload: bytes) -> None:
        """A frame arrived."""
        super().deliver(kind, payload)
        if self.on_event is not None:
            self.on_event()

    def call(self, kind: int, payload: bytes) -> None:
        """Send the call that a place was reserved for, ``kind`` with END if the frame is all of it."""
        if self.closed is not None:
            raise self.closed
        self._connection.put(kind, self.id, payload)

    def peek(self) -> tuple[int, bytes] | None:
        """Return the next frame without taking it; None if none has come."""
        return self._inbox[0] if self._inbox else None

    def cancel(self) -> None:
        """Give the request up: the replica cancels the user's code."""
        if self.closed is None:
            self.parts.clear()
            self._connection.put(CANCEL, self.id)
            self.close(StreamClosed("the request was cancelled"))

    def close(self, reason: Exception) -> None:
        """End the stream at this end and free its place."""
        if self.closed is None:
            self._connection.streams.pop(self.id, None)
            super().close(reason)
            self._on_closed()
            if self.on_event is not None:
                self.on_event()


class ClientConnection(Connection[ClientStream]):
    """Made by `connect`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handshake: ClientHandshake, listener: Listener) -> None:
        super().__init__(loop)
        self.ready: asyncio.Future[None] = loop.create_future()
        self._handshake = handshake
        self._listener = listener
        self._next_id = 1

    def open(self, kind: int, payload: bytes, on_closed: Callable[[], None]) -> ClientStream:
        """Open a stream with its first frame, ``kind`` with END if it is the last. ``on_closed`` is called once."""
        stream = ClientStream(self, self._next_id, on_closed)
        self._next_id += 1
        self.streams[stream.id] = stream
        self.put(kind, stream.id, payload)
        stream.sent_bytes = self.sent_bytes
        return stream

    @property
    def is_exhausted(self) -> bool:
        """Return whether stream numbers run out: open another connection."""
        return self._next_id >= _MAX_STREAM_ID

    def on_handshake(self, kind: int, payload: bytes) -> None:
        if kind == CHALLENGE:
            self.put(PROOF, 0, self._handshake.proof(payload))
            self.flush()
        elif kind == WELCOME:
            self._handshake.check(payload)
            self.establish()
            if not self.ready.done():
                self.ready.set_result(None)
        else:
            raise HandshakeError(f"a frame of kind {kind:#x} before the handshake")

    def on_frame(self, kind: int, id: int, payload: bytes) -> None:
        if id == 0:
            self._on_connection_frame(kind, payload)
            return
        stream = self.streams.get(id)
        if stream is None:
            return  # Cancelled here while this was on its way.
        bare = kind & ~END
        if bare == ACCEPT:
            stream.accepted = True
            stream.grant(WINDOW_BYTES)
        elif bare == CREDIT:
            stream.grant(unpack_u32(payload))
        elif bare == REFUSED:
            load = unpack_u32(payload)
            # At once, not when who reads the stream comes to it: by then the replica may have said that it has room.
            self._listener.on_refused(load)
            stream.close(Refused(load))
        elif bare in _ANSWERS:
            stream.deliver(kind, payload)
            if kind & END:
                stream.close(StreamClosed("the answer is complete"))
        else:
            raise ProtocolError(f"a replica sent a frame of kind {kind:#x} on a stream")

    def _on_connection_frame(self, kind: int, payload: bytes) -> None:
        if kind == LOAD:
            self._listener.on_load(unpack_u32(payload))
        elif kind == GOAWAY:
            self._listener.on_goaway()
        elif kind == MODELS:
            self._listener.on_models(unpack_models(payload))
        elif kind == FACTS:
            self._listener.on_facts(unpack_facts(payload))
        elif kind != PING:
            raise ProtocolError(f"a replica sent a frame of kind {kind:#x}")

    def on_silence(self, silent: bool) -> None:
        self._listener.on_silence(silent)

    def on_violation(self, error: ProtocolError) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)
        self._lose(error, self.sent_bytes)

    def on_lost(self, error: Exception | None, received_bytes: int | None) -> None:
        why = f"the connection to {self.peer} was lost" + (f": {error}" if error else "")
        if not self.ready.done():
            self.ready.set_exception(HandshakeError(f"{why}, before the handshake was complete"))
        for stream in list(self.streams.values()):
            # A replica that ended its side had written ACCEPT before any user code began.
            unseen = received_bytes is not None and stream.sent_bytes <= received_bytes
            stream.close(LinkLost(stream.accepted or unseen, why))
        if self.established:
            self._listener.on_lost(error)


async def connect(
    host: str, port: int, *, key: str, identity: Identity, listener: Listener, timeout_s: float = HANDSHAKE_S
) -> ClientConnection:
    """Connect to a replica and return once both ends have proved who they are; by the short way if it is near.

    Raises OSError and TimeoutError when nobody answers, HandshakeError when a stranger does.
    """
    loop = asyncio.get_running_loop()

    def made() -> ClientConnection:
        return ClientConnection(loop, ClientHandshake(key, identity, secrets.token_bytes(NONCE_BYTES)), listener)

    if (way := nearby.reach(host, port)) is not None:
        connection = made()
        try:
            return await _shake_hands(connection, loop.create_unix_connection(lambda: connection, sock=way), timeout_s)
        except (OSError, TimeoutError, ProtocolError) as error:
            # One that just ends, or that is not ours: the port tells.
            logger.info("%s:%d beside its port: %s", host, port, error)
    connection = made()
    return await _shake_hands(connection, loop.create_connection(lambda: connection, host, port), timeout_s)


async def _shake_hands(connection: ClientConnection, opening: Awaitable[object], timeout_s: float) -> ClientConnection:
    try:
        async with asyncio.timeout(timeout_s):
            await opening
            await connection.ready
    except BaseException:
        # Nobody will look at what the handshake comes to.
        connection.ready.cancel()
        connection.abort()
        raise
    return connection
