"""The replica's server: admits what the replica has room for, runs the user's code, and drains.

Stands between the transport (`remora.transport.server`, whose Host it is) and the user's code (a `types.Service`).
Nothing above it knows of frames; nothing below it knows of users.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

from remora.errors import ProtocolError
from remora.replica.exchange import AnswerBroken, HttpExchange
from remora.replica.rpc import RpcExchange
from remora.replica.socket import SocketExchange
from remora.transport.frames import CALL, DATA, END, FACTS, FAILURE, ITEM, MODELS, REQUEST, RESERVE, RESULT, RPC
from remora.transport.handshake import Identity
from remora.transport.messages import (
    CallHead,
    Cause,
    FailureHead,
    RequestHead,
    ResultHead,
    RpcHead,
    assemble,
    pack,
    pack_facts,
    pack_models,
    parts_of,
    sizes_of,
    unpack,
)
from remora.transport.server import Entrance, ServerConnection, ServerStream, listen
from remora.transport.stream import StreamClosed, total
from remora.types import Payload, RemoteFailure, Service

logger = logging.getLogger(__name__)

MAX_TEXT_CHARS: Final = 8_000
FINISH_S: Final = 5.0
"""How long a replica that ends waits for its clients to have read its answers."""
DEADLINE: Final = "the deadline of the request has passed"


class ReplicaServer:
    """Serves one replica on one port. `start`, later `drain`, then `stop`."""

    def __init__(
        self,
        service: Service,
        *,
        key: str,
        application: str,
        revision: str,
        replica: str,
        max_ongoing_requests: int,
    ) -> None:
        self.connections: set[ServerConnection] = set()
        self.draining = False
        self.models = b""
        """What connections tell routers of multiplexed models: payload of MODELS."""
        self.facts = b""
        """What else they tell routers: payload of FACTS."""
        self.max_ongoing_requests = max_ongoing_requests
        self._service = service
        self._key = key
        self._identity = Identity(application, revision, replica)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: set[SocketExchange] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._entrance: Entrance | None = None

    def __repr__(self) -> str:
        state = " DRAINING" if self.draining else ""
        return f"<ReplicaServer {self._identity.replica} {self.ongoing}/{self.max_ongoing_requests}{state}>"

    @property
    def ongoing(self) -> int:
        """Requests and calls that the user's code is working on."""
        return len(self._tasks)

    @property
    def load(self) -> int:
        """What every answer tells the routers: the same as `ongoing`."""
        return len(self._tasks)

    def hold_models(self, ids: Sequence[str]) -> None:
        """Let routers know that the replica holds these multiplexed models now."""
        self.models = pack_models(ids)
        for connection in self.connections:
            connection.tell(MODELS, self.models)

    def state(self, facts: Mapping[str, Any]) -> None:
        """Let routers know these facts. Raises HeadTooLarge, and TypeError for what cannot be sent."""
        packed = pack_facts(facts)
        if packed == self.facts:
            return
        self.facts = packed
        for connection in self.connections:
            connection.tell(FACTS, packed)

    def limit(self, requests: int) -> None:
        """Take so many requests at a time from now on; routers that were refused hear of room that this makes."""
        self.max_ongoing_requests = requests
        if self.load < requests:
            for connection in self.connections:
                connection.announce_room(self.load)

    async def start(self, host: str, port: int = 0) -> int:
        """Listen, and return the port. See `transport.server.listen`."""
        self._entrance = await listen(host, port, host=self, key=self._key, identity=self._identity)
        return self._entrance.port

    async def drain(self, timeout_s: float) -> bool:
        """Take nothing new, tell all clients so, and wait for what is there; False if the time was not enough."""
        self.draining = True
        for connection in self.connections:
            connection.go_away()
        for exchange in tuple(self._sockets):
            exchange.go_away()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Cancel what still runs, and close the port and all connections once clients have what was answered."""
        self.draining = True
        if self._entrance is not None:
            self._entrance.close()
        for task in list(self._tasks):
            task.cancel("the replica stops")
        if self._tasks:
            await asyncio.wait(self._tasks)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                await asyncio.gather(*(connection.finish() for connection in list(self.connections)))

    # ── transport.server.Host ────────────────────────────────────────────────────────────────────────────────────

    def take(self, stream: ServerStream, kind: int, payload: bytes) -> bool:
        """Admit a stream unless the replica is full or drains."""
        if self.draining or len(self._tasks) >= self.max_ongoing_requests:
            return False
        if kind == REQUEST:
            run = self._request(stream, *unpack(RequestHead, payload))
        elif kind == RPC:
            run = self._rpc(stream, unpack(RpcHead, payload)[0])
        elif kind == RESERVE:
            run = self._reserved(stream)
        else:
            run = self._call(stream, *unpack(CallHead, payload))
        # Not get_running_loop(), which asks the kernel for the process's number each time.
        task = stream.loop.create_task(run)
        stream.task = task
        self._tasks.add(task)
        self._idle.clear()
        task.add_done_callback(self._done)
        return True

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._idle.set()
        if not self.draining:
            load = len(self._tasks)
            if load == self.max_ongoing_requests - 1:
                for connection in self.connections:
                    connection.announce_room(load)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a request ended in an error of Remora itself", exc_info=error)

    # ── HTTP and WebSockets ──────────────────────────────────────────────────────────────────────────────────────

    async def _request(self, stream: ServerStream, head: RequestHead, part: bytes) -> None:
        timer = self._arm(stream, head.timeout_s)
        try:
            if head.type == "websocket":
                await self._serve_socket(stream, head)
            else:
                await self._serve_http(stream, head, part)
        finally:
            if timer is not None:
                timer.cancel()
            stream.finish()

    async def _serve_http(self, stream: ServerStream, head: RequestHead, part: bytes) -> None:
        exchange = HttpExchange(stream, head, part, self._tasks.__len__)
        try:
            await self._service.asgi(exchange.scope(), exchange.receive, exchange.send)
        except asyncio.CancelledError:
            if not exchange.complete:
                exchange.fail(Cause.CANCELLED, "the request was cancelled")
            raise
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything; its request alone fails
            self._fail_http(stream, exchange, error)
        else:
            if not exchange.complete and stream.closed is None:
                self._fail_http(stream, exchange, AnswerBroken("the application returned without an answer"))

    def _fail_http(self, stream: ServerStream, exchange: HttpExchange, error: Exception) -> None:
        if stream.closed is not None and not exchange.complete:
            return  # The client had gone; whatever the user's code made of it interests nobody.
        head = exchange.head
        logger.error(
            "request %s: %s %s failed in the user's code", head.request_id, head.method, head.path, exc_info=error
        )
        if exchange.complete:
            return
        # The message stays in the replica's log: who calls from outside learns the kind of error only.
        exchange.fail(
            Cause.BROKEN if exchange.started else Cause.USER, f"the application raised {type(error).__name__}"
        )

    async def _serve_socket(self, stream: ServerStream, head: RequestHead) -> None:
        exchange = SocketExchange(stream, head, self._tasks.__len__)
        self._sockets.add(exchange)
        if self.draining:
            exchange.go_away()
        try:
            await self._service.asgi(exchange.scope(), exchange.receive, exchange.send)
            await exchange.finish()
        except StreamClosed:
            return  # The client had gone.
        except asyncio.CancelledError:
            exchange.fail(Cause.CANCELLED, "the WebSocket was cancelled")
            raise
        except Exception as error:
            if stream.closed is None:
                logger.error("WebSocket %s: %s failed in the user's code", head.request_id, head.path, exc_info=error)
                # The message stays in the replica's log.
                exchange.fail(Cause.USER, f"the application raised {type(error).__name__}")
        finally:
            exchange.disarm()
            self._sockets.discard(exchange)

    # ── handle calls ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _reserved(self, stream: ServerStream) -> None:
        """Hold a place until the client sends its call, or gives the place back."""
        try:
            kind, payload = await stream.read()
            if kind & ~END != CALL:
                raise ProtocolError(f"a frame of kind {kind:#x} on a reserved place")
            stream.request_ended = bool(kind & END)
            head, part = unpack(CallHead, payload)
        except BaseException:
            stream.finish()
            raise
        await self._call(stream, head, part)

    async def _call(self, stream: ServerStream, head: CallHead, part: bytes) -> None:
        timer = self._arm(stream, head.deadline_s)
        try:
            body, _ = await stream.read_body(part, total(head.sizes), ended=stream.request_ended)
            argument = assemble(head.sizes, body)
            if head.stream:
                await self._send_items(stream, self._service.stream(head.metadata, argument))
            else:
                value = await self._service.call(head.metadata, argument)
                await _send(stream, RESULT, ResultHead(sizes_of(value), self.load), value)
        except asyncio.CancelledError:
            stream.answer(FAILURE | END, self._failure(Cause.CANCELLED, "the call was cancelled"))
            raise
        except RemoteFailure as failure:
            await self._send_failure(stream, failure)
        except StreamClosed:
            return  # The caller has gone, and what was made for it with it.
        except Exception as error:
            logger.error("call %s of %s failed", head.request_id, head.method, exc_info=error)
            stream.answer(FAILURE | END, self._failure(Cause.BROKEN, f"{type(error).__name__}: {error}"))
        finally:
            if timer is not None:
                timer.cancel()
            stream.finish()

    async def _send_items(self, stream: ServerStream, items: AsyncGenerator[Payload]) -> None:
        try:
            async for item in items:
                await _send(stream, ITEM, ResultHead(sizes_of(item), self.load), item, last=False)
        finally:
            # Here and now when the caller goes, not when the garbage collector comes by.
            await items.aclose()
        await stream.write(DATA | END, b"")

    async def _send_failure(self, stream: ServerStream, failure: RemoteFailure) -> None:
        if failure.payload is None:
            stream.answer(FAILURE | END, self._failure(Cause.USER, failure.text))
            return
        head = FailureHead(Cause.USER, failure.text[:MAX_TEXT_CHARS], sizes_of(failure.payload), self.load)
        try:
            await _send(stream, FAILURE, head, failure.payload)
        except StreamClosed:
            return

    # ── gRPC ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _rpc(self, stream: ServerStream, head: RpcHead) -> None:
        timer = self._arm(stream, head.timeout_s)
        exchange = RpcExchange(stream, head, self._tasks.__len__)
        try:
            await self._service.rpc(exchange)
        except asyncio.CancelledError:
            exchange.fail(Cause.CANCELLED, "the call was cancelled")
            raise
        except StreamClosed:
            return  # The client had gone.
        except Exception as error:
            logger.error("gRPC call %s of %s failed", head.request_id, head.path, exc_info=error)
            exchange.fail(Cause.BROKEN, f"{type(error).__name__}: {error}"[:MAX_TEXT_CHARS])
        finally:
            if timer is not None:
                timer.cancel()
            stream.finish()

    def _failure(self, cause: Cause, text: str) -> bytes:
        return pack(FailureHead(cause, text[:MAX_TEXT_CHARS], [], self.load))

    def _arm(self, stream: ServerStream, timeout_s: float | None) -> asyncio.TimerHandle | None:
        if timeout_s is None:
            return None
        task = stream.task
        assert task is not None
        return stream.loop.call_later(max(0.0, timeout_s), task.cancel, DEADLINE)


async def _send(
    stream: ServerStream, kind: int, head: ResultHead | FailureHead, value: Payload, *, last: bool = True
) -> None:
    """Send a value: its head with the first part, then the others as there is credit."""
    parts = parts_of(value)
    first = next(parts)
    more = total(head.sizes) > len(first)
    payload = pack(head, first)
    if kind == ITEM:
        await stream.write(kind, payload)
    else:
        stream.answer(kind if more or not last else kind | END, payload)
    if more:
        await stream.write_parts(parts, end=last)
