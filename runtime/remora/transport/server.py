"""The replica's end: accepts connections and streams, and turns frames into what a Host can serve.

listen → ServerConnection (handshake, frames) → Host.take → ACCEPT, then the user's code | REFUSED
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from typing import Final, Protocol

from remora.errors import ProtocolError
from remora.transport import liveness, nearby
from remora.transport.connection import Connection
from remora.transport.credits import WINDOW_BYTES
from remora.transport.frames import (
    ACCEPT,
    CALL,
    CANCEL,
    CHALLENGE,
    CREDIT,
    DATA,
    END,
    FACTS,
    GOAWAY,
    LOAD,
    MESSAGE,
    MODELS,
    PING,
    PROOF,
    REFUSED,
    REQUEST,
    RESERVE,
    RPC,
    WELCOME,
    pack_u32,
    unpack_u32,
)
from remora.transport.handshake import NONCE_BYTES, HandshakeError, Identity, ReplicaHandshake
from remora.transport.stream import Stream, StreamClosed

logger = logging.getLogger(__name__)

BACKLOG: Final = 1024
CROWD_BYTES: Final = 16 * 1024
"""Of answers in one turn of the loop, before a generator that never waits has to let others on."""
_OPENING: Final = frozenset((REQUEST, CALL, RPC, RESERVE))
_DELIVERED: Final = frozenset((DATA, MESSAGE, CALL))


class Host(Protocol):
    """What serves the streams: the replica's server."""

    connections: set[ServerConnection]

    @property
    def load(self) -> int:
        """Streams that are being served."""
        ...

    @property
    def draining(self) -> bool:
        """Whether nothing new is taken."""
        ...

    @property
    def models(self) -> bytes:
        """Payload of MODELS; empty while there are none."""
        ...

    @property
    def facts(self) -> bytes:
        """Payload of FACTS; empty while there are none."""
        ...

    def take(self, stream: ServerStream, kind: int, payload: bytes) -> bool:
        """Serve a stream that an opening frame began, from the loop's next turn on; False refuses it."""
        ...


class ServerStream(Stream):
    """One request, at the replica. The Host's task reads and writes it, then calls `finish`."""

    __slots__ = ("_connection", "is_ended", "request_ended", "task")

    def __init__(self, connection: ServerConnection, id: int, request_ended: bool) -> None:
        super().__init__(connection, id, WINDOW_BYTES)
        self.request_ended = request_ended
        """The opening frame was the whole request."""
        self.is_ended = request_ended
        """The client has sent its last frame, whether that was read or not."""
        self.task: asyncio.Task[None] | None = None
        self._connection = connection

    def answer(self, kind: int, payload: bytes) -> None:
        """Send a head. Nothing happens if the client has gone."""
        if self.closed is None:
            self._connection.put(kind, self.id, payload)

    def answer_last(self, kind: int, payload: bytes) -> None:
        """Send a head behind the parts that still wait for their turn."""
        if self.closed is None:
            self._connection.queue(self, kind, payload)

    @property
    def crowds(self) -> bool:
        """Whether so much waits for the end of this turn that it should go out before more is made."""
        return self._connection.waiting_bytes >= CROWD_BYTES

    def announce(self, head: HeldHead) -> None:
        """Have ``head.release`` called before this turn's write, unless its body brought it out earlier."""
        self._connection.held.append(head)
        self._connection.wake()

    def vanish(self, reason: str) -> None:
        """The client wants no answer any more: cancel the user's code."""
        if self.closed is None:
            self.parts.clear()
            # Here, too: a task that is cancelled before its first step never comes to its `finish`.
            self._connection.streams.pop(self.id, None)
            self.close(StreamClosed(reason))
            if self.task is not None:
                self.task.cancel(reason)
                # The task's error refers to its frames and they to this stream: in a ring, what the user's code holds
                # open, generators above all, would stay so until the garbage collector comes by.
                self.task = None

    def finish(self) -> None:
        """The Host is done with it."""
        self._connection.streams.pop(self.id, None)
        self.close(StreamClosed("the answer is complete"))


class HeldHead(Protocol):
    """A response head that waits for the first part of its body, until the turn ends."""

    def release(self) -> None:
        """Send the head alone if it still waits."""
        ...


class ServerConnection(Connection[ServerStream]):
    """One client: a proxy or another replica."""

    speaks_after_s = liveness.FOLLOWS_AFTER_S

    def __init__(self, loop: asyncio.AbstractEventLoop, host: Host, handshake: ReplicaHandshake) -> None:
        super().__init__(loop)
        self.held: list[HeldHead] = []
        self._host = host
        self._handshake = handshake
        self._last_id = 0
        self._was_refused = False

    def next_tick(self) -> float:
        return self.loop.time() + self.speaks_after_s

    def on_connected(self) -> None:
        self._host.connections.add(self)
        self.put(CHALLENGE, 0, self._handshake.challenge())
        self.flush()

    def on_handshake(self, kind: int, payload: bytes) -> None:
        if kind != PROOF:
            raise HandshakeError(f"a frame of kind {kind:#x} before the handshake")
        self.put(WELCOME, 0, self._handshake.welcome(payload))
        self.establish()
        if self._host.draining:
            self.put(GOAWAY, 0)
        self.tell(MODELS, self._host.models)
        self.tell(FACTS, self._host.facts)
        self.flush()

    def buffer_updated(self, size: int) -> None:
        super().buffer_updated(size)
        # ACCEPT leaves before the tasks that this data started take their first step: a client that never sees it
        # knows that the user's code has not begun.
        if self._out:
            self.flush()

    def flush(self) -> None:
        if self.held:
            held, self.held = self.held, []
            for head in held:
                head.release()
        super().flush()

    def wake(self) -> None:
        """Make sure that this turn ends with a flush."""
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self.flush)

    def go_away(self) -> None:
        """Tell the client to open nothing new here."""
        if self.established:
            self.put(GOAWAY, 0)

    def tell(self, kind: int, packed: bytes) -> None:
        """Tell the client of models or facts; nothing when there are none."""
        if self.established and packed:
            self.put(kind, 0, packed)

    def announce_room(self, load: int) -> None:
        """Tell a client that was refused that there is room again."""
        if self._was_refused:
            self._was_refused = False
            self.put(LOAD, 0, pack_u32(load))

    def on_frame(self, kind: int, id: int, payload: bytes) -> None:
        bare = kind & ~END
        stream = self.streams.get(id)
        if bare in _OPENING and stream is None:
            self._open(bare, id, bool(kind & END), payload)
            return
        if stream is None:
            if id == 0:
                if kind != PING:
                    raise ProtocolError(f"a client sent a frame of kind {kind:#x}")
                self.answer_ping()
            return  # Finished or refused here while this was on its way.
        if bare in _DELIVERED:
            if kind & END:
                stream.is_ended = True
            stream.deliver(kind, payload)
        elif bare == CREDIT:
            stream.grant(unpack_u32(payload))
        elif bare == CANCEL:
            stream.vanish("the client has gone")
        else:
            raise ProtocolError(f"a client sent a frame of kind {kind:#x} on a stream")

    def _open(self, kind: int, id: int, ended: bool, payload: bytes) -> None:
        if id <= self._last_id:
            if kind == CALL:
                return  # For a place that was given up here while this was on its way.
            raise ProtocolError(f"stream {id} was opened after {self._last_id}")
        self._last_id = id
        stream = ServerStream(self, id, ended)
        self.streams[id] = stream
        if self._host.take(stream, kind, payload):
            self.put(ACCEPT, id)
        else:
            del self.streams[id]
            self._was_refused = True
            self.put(REFUSED, id, pack_u32(self._host.load))

    def on_violation(self, error: ProtocolError) -> None:
        logger.warning("closing the connection from %s: %s", self.peer, error)

    def on_lost(self, error: Exception | None, received_bytes: int | None) -> None:
        self._host.connections.discard(self)
        for stream in list(self.streams.values()):
            stream.vanish("the connection to the client was lost")


class Entrance:
    """Where clients come in: made by `listen`."""

    def __init__(self, port: int, servers: Sequence[asyncio.Server]) -> None:
        self.port = port
        self._servers = servers

    def close(self) -> None:
        """Let nobody in any more; connections that are open stay so."""
        for server in self._servers:
            server.close()


async def listen(host_name: str, port: int, *, host: Host, key: str, identity: Identity) -> Entrance:
    """Listen for clients that hold ``key`` and look for exactly ``identity``.

    At the port, and beside it for who is near. ``host_name`` is what clients are told; ``port`` 0 is any.
    Raises OSError when the port is taken.
    """
    loop = asyncio.get_running_loop()

    def accept() -> ServerConnection:
        return ServerConnection(loop, host, ReplicaHandshake(key, identity, secrets.token_bytes(NONCE_BYTES)))

    servers = [await loop.create_server(accept, host_name, port, backlog=BACKLOG)]
    bound: int = servers[0].sockets[0].getsockname()[1]
    if (beside := nearby.bind(host_name, bound)) is not None:
        servers.append(await loop.create_unix_server(accept, sock=beside, backlog=BACKLOG))
    return Entrance(bound, servers)
