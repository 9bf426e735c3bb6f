"""Replicas without Ray: real `ReplicaServer`s on loopback, with user code that tests can steer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from remora.replica.server import ReplicaServer
from remora.router.router import Router
from remora.types import CallMetadata, Message, Payload, Receive, RemoteFailure, RpcCall, Scope, Send
from remora_api.wire import ApplicationRoutes, DeploymentRoutes, ReplicaAddress, RoutesSnapshot

KEY = "data-key"
CONTROLLER = "http://controller"


async def respond(send: Send, status: int, body: bytes) -> None:
    """Answer with a short body."""
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_all(receive: Receive) -> bytes:
    """Read the whole body."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


@dataclass
class Steered:
    """User code whose paths do what tests need. ``gate`` holds ``/wait`` back until it is set."""

    name: str = "replica"
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    scopes: list[Scope] = field(default_factory=list)
    sent_bytes: int = 0

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        path = scope["path"].removeprefix(scope["root_path"])
        match path:
            case "/wait":
                await self._wait()
                await respond(send, 200, self.name.encode())
            case "/count":
                size = 0
                message: Message = {"more_body": True}
                while message.get("more_body"):
                    message = await receive()
                    size += len(message.get("body", b""))
                await respond(send, 200, str(size).encode())
            case "/echo":
                await respond(send, 200, await read_all(receive))
            case "/large":
                await self._large(send, int(scope["query_string"]))
            case "/slow-start":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await self._wait()
                await send({"type": "http.response.body", "body": b"late"})
            case "/raise":
                raise ValueError("secret detail")
            case "/raise-later":
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
                await send({"type": "http.response.body", "body": b"half", "more_body": True})
                raise ValueError("secret detail")
            case "/nothing":
                return
            case "/split":
                evil = [(b"x-evil", b"a\r\nset-cookie: b"), (b"content-length", b"2")]
                await send({"type": "http.response.start", "status": 200, "headers": evil})
                await send({"type": "http.response.body", "body": b"ok"})
            case "/headers":
                await send({"type": "http.response.start", "status": 200, "headers": [(b"x-big", b"x" * 100_000)]})
                await send({"type": "http.response.body", "body": b"ok"})
            case _:
                await respond(send, 200, self.name.encode())

    async def _wait(self) -> None:
        self.begun.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _large(self, send: Send, size: int) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        chunk = b"x" * 100_000
        self.begun.set()
        while True:
            part = chunk[:size]
            size -= len(part)
            await send({"type": "http.response.body", "body": part, "more_body": size > 0})
            self.sent_bytes += len(part)
            if not size:
                return

    async def rpc(self, call: RpcCall) -> None:
        raise NotImplementedError

    async def call(self, metadata: CallMetadata, payload: Payload) -> Payload:
        match metadata.method:
            case "wait":
                await self._wait()
            case "fail":
                raise RemoteFailure("ValueError: no", Payload(b"pickled" * 20_000, (b"buffer",)))
            case "name":
                return Payload(self.name.encode())
            case _:
                pass
        return payload

    async def stream(self, metadata: CallMetadata, payload: Payload) -> AsyncGenerator[Payload, None]:
        for number in range(int(payload.data)):
            self.sent_bytes = number
            yield Payload(str(number).encode() + b" " * (100_000 if metadata.method == "large" else 0))
        if metadata.method == "fail":
            raise RemoteFailure("ValueError: no")
        if metadata.method == "wait":
            await self._wait()


@asynccontextmanager
async def replica(
    service: Steered, *, name: str = "app#Main#1", max_ongoing_requests: int = 10, key: str = KEY, port: int = 0
) -> AsyncIterator[tuple[ReplicaServer, ReplicaAddress]]:
    """Serve ``service`` as a replica on loopback."""
    server = ReplicaServer(
        service, key=key, application="app", revision="r1", replica=name, max_ongoing_requests=max_ongoing_requests
    )
    port = await server.start("127.0.0.1", port)
    try:
        yield (
            server,
            ReplicaAddress(
                replica=name, host="127.0.0.1", port=port, max_ongoing_requests=max_ongoing_requests, revision="r1"
            ),
        )
    finally:
        await server.stop()


def snapshot(version: int, addresses: Iterable[ReplicaAddress], *, max_queued_requests: int = -1) -> RoutesSnapshot:
    """Return a snapshot with one application of one deployment."""
    deployment = DeploymentRoutes(name="Main", replicas=tuple(addresses), max_queued_requests=max_queued_requests)
    application = ApplicationRoutes(application="app", ingress="Main", deployments=(deployment,))
    return RoutesSnapshot(epoch="e", version=version, applications=(application,))


@asynccontextmanager
async def router(
    *addresses: ReplicaAddress, hold_s: float = 0.3, max_queued_requests: int = -1
) -> AsyncIterator[Router]:
    """Return a router that knows these replicas."""
    router = Router(KEY, hold_s=hold_s)
    router.cluster(CONTROLLER).update(snapshot(1, addresses, max_queued_requests=max_queued_requests))
    try:
        yield router
    finally:
        await router.close()


async def until(condition: object, *, within_s: float = 5.0) -> None:
    """Wait until a callable returns something true."""
    assert callable(condition)
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - tests look at state that has no event of its own
            await asyncio.sleep(0.005)
