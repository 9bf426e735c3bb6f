"""Nouns that several packages of the runtime share. Imports nothing of them.

The ports between the data plane (`transport`, `router`, `proxy`), the user's code (`graph`, `handle`, `replica`) and
the `controller` stand here as small protocols, so that each side can be read, and tested, without the other.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NewType, Protocol

ReplicaId = NewType("ReplicaId", str)
"""``{application}#{deployment}#{8 random hex digits}``; also the name of its Ray actor."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
WHOLE_BODY = "remora.body"
"""Key in a scope's ``extensions``: the request's body, bytes, where all of it came with the head."""
WHOLE_ANSWER = "remora.answer"
"""Key in a scope's ``extensions``: sends a whole answer of headers and body; returns False if it has to go by ASGI."""
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ReplicaRank:
    """Where a replica stands among those of its deployment; each number is the smallest that was free at its start."""

    rank: int = 0
    node_rank: int = 0
    """Of its node, among the nodes that have replicas of the deployment."""
    local_rank: int = 0
    """Among those on its node."""


FIRST_RANK: Final = ReplicaRank()


@dataclass(frozen=True, slots=True)
class CallMetadata:
    """What travels with a handle call beside its arguments."""

    request_id: str = ""
    method: str = "__call__"
    stream: bool = False
    """The caller iterates over the results instead of awaiting one."""
    deadline_s: float | None = None
    """Seconds that are left when the call is sent; the receiver counts from arrival."""
    multiplexed_model_id: str = ""
    session_id: str = ""
    route: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Trace headers (``traceparent``)."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A pickled value: protocol 5, with its large buffers out of band. Never unpickled before the handshake."""

    data: bytes
    buffers: Sequence[bytes | memoryview] = ()


class RemoteFailure(Exception):
    """The user's code raised: carries the pickled exception, or its text when it cannot be pickled."""

    def __init__(self, text: str, payload: Payload | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.payload = payload


Trailing = Sequence[tuple[str, str | bytes]]


class RpcCall(Protocol):
    """One gRPC call, at the replica: implemented by `replica.rpc`. Messages are bytes."""

    @property
    def path(self) -> str:
        """``/package.Service/Method``."""
        ...

    @property
    def servicers(self) -> Sequence[str]:
        """Import paths of the functions that register the application's services."""
        ...

    @property
    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """What the client sent along; keys that end in ``-bin`` have bytes."""
        ...

    @property
    def peer(self) -> str:
        """The client's address as gRPC writes it."""
        ...

    @property
    def request_id(self) -> str:
        """Given by the client or the proxy."""
        ...

    def messages(self) -> AsyncGenerator[bytes, None]:
        """Yield the client's messages, no faster than they are read."""
        ...

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the client reads slowly."""
        ...

    def finish(self, code: int, details: str, trailing: Trailing) -> None:
        """Send the status, after the last message."""
        ...


class Service(Protocol):
    """What a replica offers to its transport server: implemented by `replica.user`, called by `replica.server`."""

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or WebSocket. The server cancels the task when the client vanishes."""
        ...

    async def rpc(self, call: RpcCall) -> None:
        """Serve one gRPC call and finish it with a status, also when the user's code raises."""
        ...

    async def call(self, metadata: CallMetadata, payload: Payload) -> Payload:
        """Run one handle call and return its pickled value; raises RemoteFailure when the user's code raises."""
        ...

    def stream(self, metadata: CallMetadata, payload: Payload) -> AsyncGenerator[Payload]:
        """Run one streaming handle call, an item at a time, no faster than it is read."""
        ...


class Reservation(Protocol):
    """A place on one replica, for one call."""

    replica: str
    host: str
    port: int
    node: str

    async def call(self, metadata: CallMetadata, payload: Payload) -> Payload:
        """Run the call; raises what `Caller.call` says."""
        ...

    def stream(self, metadata: CallMetadata, payload: Payload) -> AsyncGenerator[Payload]:
        """Run the streaming call; closing the iterator cancels it."""
        ...

    def release(self) -> None:
        """Give the place back; cancels a call that was sent with it."""
        ...


class Caller(Protocol):
    """What a handle needs of a router: implemented by `router.router`, used by `handle`."""

    async def call(self, application: str, deployment: str, metadata: CallMetadata, payload: Payload) -> Payload:
        """Run one call on some replica. Cancelling the task cancels the call there.

        Raises RemoteFailure, `remora.errors.BackPressureError` (queue full), `remora.errors.DeploymentUnavailable`
        (no such deployment, or none answered in time) and `remora.errors.ReplicaUnavailableError` (the replica died
        after it had started).
        """
        ...

    def stream(
        self, application: str, deployment: str, metadata: CallMetadata, payload: Payload
    ) -> AsyncGenerator[Payload]:
        """Run one streaming call; closing the iterator cancels it."""
        ...

    async def replicas(self, application: str, deployment: str) -> Sequence[str]:
        """Return the names of the replicas that take requests, after waiting for one if there is none yet."""
        ...

    async def reserve(
        self, application: str, deployment: str, metadata: CallMetadata, replica: str = ""
    ) -> Reservation:
        """Take a place on a replica: the named one, or the one that a call would go to.

        Raises what `call` does; ReplicaUnavailableError when the named one is not there.
        """
        ...

    def knows(self, application: str, deployment: str) -> bool:
        """Return whether a replica of the deployment takes requests."""
        ...
