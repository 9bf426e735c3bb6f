"""One gRPC call at the replica: bytes on the stream's side, the user's messages on the other.

`replica.server` makes an `RpcExchange` for each RPC and hands it to `GrpcCalls.rpc`, which runs `answer`.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Any, Final

from remora.errors import BackPressureError, DeploymentUnavailable, ProtocolError, ReplicaUnavailableError
from remora.grpc_services import REFLECTION_METHODS
from remora.grpc_util import RayServegRPCContext, gRPCInputStream
from remora.replica import reflection, servicers
from remora.replica.invoke import Method, is_stream, items
from remora.transport.frames import DATA, END, FAILURE, MESSAGE, RESPONSE
from remora.transport.messages import Cause, FailureHead, RpcHead, RpcStatus, cut_bytes, pack
from remora.transport.server import ServerStream
from remora.types import RpcCall, Trailing

OK: Final = 0
INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14
"""Status codes (grpc/grpc, doc/statuscodes.md)."""
MAX_DETAILS_CHARS: Final = 4_000


class RpcExchange:
    """The stream as a `types.RpcCall`."""

    __slots__ = ("_head", "_load", "_stream")

    def __init__(self, stream: ServerStream, head: RpcHead, load: Callable[[], int]) -> None:
        self._head = head
        self._stream = stream
        self._load = load

    @property
    def path(self) -> str:
        """``/package.Service/Method``."""
        return self._head.path

    @property
    def servicers(self) -> Sequence[str]:
        """Import paths of the functions that register the application's services."""
        return self._head.servicers

    @property
    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """What the client sent along; keys that end in ``-bin`` have bytes (grpc/grpc, doc/PROTOCOL-HTTP2.md)."""
        return tuple(
            (key, value if key.endswith("-bin") else value.decode("latin-1")) for key, value in self._head.metadata
        )

    @property
    def peer(self) -> str:
        """The client's address as gRPC writes it."""
        return self._head.peer

    @property
    def request_id(self) -> str:
        """Given by the client or the proxy."""
        return self._head.request_id

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """Yield the client's messages. Raises StreamClosed when the client has gone."""
        packed = bytearray()
        while True:
            kind, part = await self._stream.read()
            if kind == DATA | END:
                return
            if kind != MESSAGE or not part:
                raise ProtocolError(f"a frame of kind {kind:#x} in a gRPC call")
            packed += memoryview(part)[1:]
            if part[0]:
                yield bytes(packed)
                packed.clear()

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the client reads slowly. Raises StreamClosed when the client has gone."""
        for part in cut_bytes(message):
            await self._stream.write(MESSAGE, part)

    def finish(self, code: int, details: str, trailing: Trailing) -> None:
        """Send the status, after the last message."""
        pairs = [(key, value.encode() if isinstance(value, str) else value) for key, value in trailing]
        status = RpcStatus(code, details[:MAX_DETAILS_CHARS], pairs, self._load())
        self._stream.answer_last(RESPONSE | END, pack(status))

    def fail(self, cause: Cause, text: str) -> None:
        """End the stream without a status of the user's code."""
        self._stream.answer(FAILURE | END, pack(FailureHead(cause, text, [], self._load())))


class Unimplemented(Exception):
    """No such method."""


async def answer(call: RpcCall, context: RayServegRPCContext, find: Callable[[str], Method], pool: Executor) -> None:
    """Run the user's method and send what it returns; raises what it raises, and Unimplemented."""
    if call.path in REFLECTION_METHODS:
        await reflection.answer(call)
        return
    name = call.path.rpartition("/")[2]
    handler = servicers.find(call.servicers, call.path)
    if handler is None:
        known = ", ".join(call.servicers) or "none"
        raise Unimplemented(f"no servicer has the method {call.path}; servicer functions are: {known}")
    try:
        method = find(name)
    except AttributeError as error:
        raise Unimplemented(str(error)) from error
    read = handler.request_deserializer or bytes
    write = handler.response_serializer or bytes
    async with aclosing(call.messages()) as messages:
        argument: Any = (
            gRPCInputStream(_each(read, messages)) if handler.request_streaming else read(await _only(messages))
        )
        value = await method.run(pool, (argument,), {"grpc_context": context} if _wants_context(method) else {})
        if handler.response_streaming:
            async with aclosing(items(_stream(value, name), pool)) as produced:
                async for item in produced:
                    await call.send(write(item))
        elif is_stream(value):
            raise TypeError(f"method {name!r} returned a generator, and its service says that it has one answer")
        else:
            await call.send(write(value))


def status_of(error: Exception, context: RayServegRPCContext) -> tuple[int, str]:
    """Return code and details for what was raised: the user's own where they were set before."""
    if context.code() is not None:
        return code_of(context), context.details() or str(error)
    match error:
        case Unimplemented():
            return UNIMPLEMENTED, str(error)
        case BackPressureError():
            return RESOURCE_EXHAUSTED, str(error)
        case DeploymentUnavailable() | ReplicaUnavailableError():
            return UNAVAILABLE, str(error)
        case TimeoutError():
            return DEADLINE_EXCEEDED, str(error) or "the call took too long"
        case _:
            return INTERNAL, f"{type(error).__name__}: {error}"


def code_of(context: RayServegRPCContext) -> int:
    """Return the number of the status that the user's code set; OK if it set none."""
    code = context.code()
    if code is None:
        return OK
    number: int = code.value[0] if hasattr(code, "value") else int(code)
    return number


async def _each(read: Callable[[bytes], Any], messages: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for message in messages:
        yield read(message)


async def _only(messages: AsyncIterator[bytes]) -> bytes:
    try:
        return await anext(messages)
    except StopAsyncIteration:
        raise ProtocolError("the call has no message, and its service says that it has one") from None


def _stream(value: Any, name: str) -> Any:
    if not is_stream(value):
        raise TypeError(f"method {name!r} returned {type(value).__name__}, and its service says that it streams")
    return value


def _wants_context(method: Method) -> bool:
    try:
        return "grpc_context" in inspect.signature(method.function).parameters
    except (TypeError, ValueError):
        return False
