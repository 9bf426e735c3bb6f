"""One WebSocket on its way: between the client's ASGI messages and the replica's. The proxy calls `carry`.

    open → ACCEPT → websocket.accept ┬─ client to replica, a message at a time
                        │            └─ replica to client, a message at a time
                        └─ websocket.close or an answer: the client is refused

Either way a message waits for credit, or for the client's socket, before the next one is read: who reads slowly slows
the other end and nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from remora.errors import ProtocolError, RemoraError
from remora.router.affinity import Affinity
from remora.router.forward import HOP_BY_HOP, ApplicationFailed
from remora.router.pool import Pool
from remora.router.retry import check_never_begun
from remora.router.waiting import Opened
from remora.transport.client import ClientStream, LinkLost, Refused
from remora.transport.frames import DATA, END, FAILURE, MESSAGE, REQUEST
from remora.transport.messages import (
    Cause,
    FailureHead,
    Headers,
    RequestHead,
    cut_message,
    pack,
    unpack,
    unpack_message,
)
from remora.transport.stream import StreamClosed
from remora.types import Message, Receive, Send

NORMAL: Final = 1000
ABNORMAL: Final = 1006
TOO_BIG: Final = 1009
FAILED: Final = 1011
RESTART: Final = 1012
"""Close codes (RFC 6455, 7.4)."""

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Of one message of the application, which is held whole before the client gets it."""
MAX_REFUSAL_BYTES: Final = 1024 * 1024
"""Of an answer in the place of a WebSocket."""
AFTER_GONE_S: Final = 30.0
"""How long an application may go on when its client has gone, for what it has to put in order."""


class ClientGone(RemoraError):
    """The client left before the application had accepted."""


class Carried(NamedTuple):
    """How a WebSocket ended."""

    code: int
    """The close code, or the status of a refusal."""
    error: str | None = None


async def carry(
    pool: Pool,
    head: RequestHead,
    receive: Receive,
    send: Send,
    extra: Headers,
    accepted: Callable[[], object],
    wanted: Affinity | None = None,
) -> Carried:
    """Carry one WebSocket until the application has ended; ``receive`` has given ``websocket.connect`` already.

    ``extra`` headers are added to the answer of the handshake; ``accepted`` is called when the application accepts.
    ``wanted`` is what the replica should have.
    Raises BackPressureError, DeploymentUnavailable, ReplicaUnavailableError, ApplicationFailed and ClientGone, all of
    them before anything was sent.
    """
    payload = pack(head)
    again = False
    leaving = asyncio.ensure_future(receive())
    try:
        while True:
            _, stream = await _open(pool, payload, wanted, leaving, again=again)
            again = True
            try:
                first = await _first(stream, leaving)
                return await _converse(stream, first, leaving, receive, send, extra, accepted)
            except (Refused, LinkLost) as ended:
                check_never_begun(ended, "request")
            finally:
                stream.cancel()
    finally:
        leaving.cancel()


async def _open(
    pool: Pool, payload: bytes, wanted: Affinity | None, leaving: asyncio.Future[Message], *, again: bool
) -> Opened:
    """Find a replica, as long as the client waits for one."""
    opening = asyncio.ensure_future(pool.open(REQUEST, payload, wanted, front=again))
    try:
        await asyncio.wait((opening, leaving), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        if opening.done() and not opening.cancelled() and opening.exception() is None:
            opening.result().stream.cancel()
        opening.cancel()
        raise
    if not opening.done():
        opening.cancel()
        raise ClientGone("the client went away")
    return opening.result()


async def _first(stream: ClientStream, leaving: asyncio.Future[Message]) -> Message:
    """Return the first message of the application; the client can only leave before."""
    answering = asyncio.ensure_future(_next(stream))
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientGone("the client went away")
        first = answering.result()
    finally:
        answering.cancel()
    if first is None:
        raise ProtocolError("a WebSocket ended without a word")
    return first


async def _converse(
    stream: ClientStream,
    first: Message,
    leaving: asyncio.Future[Message],
    receive: Receive,
    send: Send,
    extra: Headers,
    accepted: Callable[[], object],
) -> Carried:
    kept = [(name, value) for name, value in first.get("headers", ()) if name.lower() not in HOP_BY_HOP]
    headers = kept + extra
    match first["type"]:
        case "websocket.accept":
            accepted()
            await send({**first, "headers": headers})
            speaking = asyncio.ensure_future(_speak(stream, leaving, receive))
            try:
                return await _listen(stream, speaking, send)
            finally:
                speaking.cancel()
        case "websocket.http.response.start":
            body = await _refusal(stream)
            await refuse(send, first["status"], body, headers)
            return Carried(first["status"])
        case _:
            await refuse(send, 403, b"", headers)
            return Carried(403, "the application refused the WebSocket")


async def refuse(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Answer the handshake with an ordinary HTTP answer."""
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


async def _refusal(stream: ClientStream) -> bytes:
    """Return the body of the application's own answer."""
    body = bytearray()
    while (message := await _next(stream)) is not None:
        body += message.get("body", b"")
        if len(body) > MAX_REFUSAL_BYTES:
            raise MessageTooBig(f"the application refused a WebSocket with more than {MAX_REFUSAL_BYTES} bytes")
        if not message.get("more_body", False):
            return bytes(body)
    raise ProtocolError("an answer ended early")


async def _speak(stream: ClientStream, leaving: asyncio.Future[Message], receive: Receive) -> Message | None:
    """Bring the client's messages to the replica; return the last one, or None if the replica wants no more."""
    message = await leaving
    try:
        while True:
            ended = message["type"] == "websocket.disconnect"
            for part in cut_message(message):
                await stream.write(MESSAGE | END if ended and part[0] else MESSAGE, part)
            if ended:
                return message
            message = await receive()
    except (StreamClosed, LinkLost, Refused):
        return None


async def _listen(stream: ClientStream, speaking: asyncio.Future[Message | None], send: Send) -> Carried:
    """Bring the replica's messages to the client until the application has ended."""
    closed: Carried | None = None
    ending: asyncio.TimerHandle | None = None
    loop = asyncio.get_running_loop()

    def gone(done: asyncio.Future[Message | None]) -> None:
        nonlocal ending
        if _goodbye(done) is not None:
            ending = loop.call_later(AFTER_GONE_S, stream.cancel)

    speaking.add_done_callback(gone)
    try:
        while (message := await _next(stream)) is not None:
            if closed is None and _goodbye(speaking) is None:
                if message["type"] == "websocket.close":
                    closed = Carried(message.get("code") or NORMAL, message.get("reason") or None)
                await _tell(send, message)
    except (LinkLost, ApplicationFailed, ProtocolError, StreamClosed) as error:
        if closed is None and _goodbye(speaking) is None:
            closed = Carried(_code(error), str(error))
            await _tell(send, {"type": "websocket.close", "code": closed.code, "reason": ""})
    finally:
        if ending is not None:
            ending.cancel()
    if closed is None and (last := _goodbye(speaking)) is not None:
        closed = Carried(last.get("code") or ABNORMAL, None)
    if closed is None:
        # The application returned and said nothing: to the client a good end, where the bare socket would break off.
        closed = Carried(NORMAL)
        await _tell(send, {"type": "websocket.close", "code": NORMAL, "reason": ""})
    return closed


def _goodbye(speaking: asyncio.Future[Message | None]) -> Message | None:
    """Return what the client said last, once it has gone."""
    if not speaking.done() or speaking.cancelled() or speaking.exception() is not None:
        return None
    return speaking.result()


async def _tell(send: Send, message: Message) -> None:
    """Send to the client. One that has just gone is heard of by ``speaking``."""
    try:
        await send(message)
    except OSError:
        return


def _code(error: Exception) -> int:
    match error:
        case LinkLost():
            return RESTART
        case ApplicationFailed(cause=Cause.CANCELLED):
            return RESTART
        case MessageTooBig():
            return TOO_BIG
        case _:
            return FAILED


class MessageTooBig(ProtocolError):
    """The application's message exceeds `MAX_ANSWER_BYTES`."""


async def _next(stream: ClientStream) -> Message | None:
    """Return the application's next message; None when it has ended. Raises ApplicationFailed and LinkLost."""
    packed = bytearray()
    while True:
        kind, part = await stream.read()
        bare = kind & ~END
        if bare == FAILURE:
            failure, _ = unpack(FailureHead, part)
            raise ApplicationFailed(failure.cause, failure.text)
        if bare == DATA and kind & END:
            return None
        if bare != MESSAGE or not part:
            raise ProtocolError(f"a frame of kind {kind:#x} on a WebSocket")
        packed += memoryview(part)[1:]
        if len(packed) > MAX_ANSWER_BYTES:
            raise MessageTooBig(f"the application sent a message of more than {MAX_ANSWER_BYTES} bytes")
        if part[0]:
            return unpack_message(bytes(packed))
