"""One HTTP request on its way to a replica and its answer on the way back. The proxy calls `forward`.

acquire a place → open → ACCEPT → rest of the body ┐
      ▲                  │                         ├→ RESPONSE → parts → END
      └─ refused, or lost before ACCEPT            ┘
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from remora.errors import ProtocolError, RemoraError
from remora.router.affinity import Affinity
from remora.router.link import Link
from remora.router.pool import Pool
from remora.router.retry import check_never_begun
from remora.transport.client import ClientStream, LinkLost, Refused
from remora.transport.frames import DATA, END, FAILURE, MAX_PART_BYTES, REQUEST, RESPONSE
from remora.transport.messages import (
    Cause,
    FailureHead,
    Headers,
    RequestHead,
    ResponseHead,
    pack,
    unpack,
)
from remora.transport.stream import StreamClosed
from remora.types import Receive, Send

# Of the connection between client and proxy, not of the request (RFC 9110, 7.6.1).
HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)


class ApplicationFailed(RemoraError):
    """The user's code raised, or ended the request without an answer."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


class Opened(NamedTuple):
    """A request under way on a replica."""

    link: Link
    stream: ClientStream


async def forward(
    pool: Pool,
    head: RequestHead,
    part: bytes,
    receive: Receive | None,
    send: Send,
    extra: Headers,
    send_whole: Callable[[int, Headers, bytes], bool],
    opened: Opened | None = None,
    wanted: Affinity | None = None,
) -> int:
    """Send a request to a replica of ``pool`` and its answer to ``send``; return the status.

    ``part`` is what has arrived of the body, and ``receive`` gives the rest; None if there is none. ``extra`` headers
    are added to the answer. An answer of one frame goes to ``send_whole``, unless that returns False. Cancelling
    cancels the user's code. Raises BackPressureError, DeploymentUnavailable, ReplicaUnavailableError and
    ApplicationFailed; if ``send`` was called before, the answer cannot be completed. ``opened`` is a stream on which
    the request is under way already; ``wanted`` is what its replica should have.
    """
    kind = REQUEST if receive is not None else REQUEST | END
    payload = pack(head, part)
    while True:
        link, stream = opened or await open_stream(pool, kind, payload, wanted)
        upload = _upload(stream, receive) if receive is not None else None
        try:
            answer, content = await stream.read()
            if answer & ~END != RESPONSE:
                raise _failure(answer, content)
            response, first = unpack(ResponseHead, content)
            link.reported(response.load)
            headers = headers_for_client(response, extra)
            if not (answer & END and send_whole(response.status, headers, first)):
                await _answer(stream, response.status, headers, first, bool(answer & END), send)
            return response.status
        except (Refused, LinkLost) as ended:
            check_never_begun(ended, "request")
        finally:
            if upload is not None:
                upload.cancel()
            stream.cancel()
        opened = await open_stream(pool, kind, payload, wanted, again=True)


async def open_stream(
    pool: Pool, kind: int, payload: bytes, wanted: Affinity | None = None, *, again: bool = False
) -> Opened:
    """Send a request to a replica; ``again`` if it had its turn in the queue already."""
    while True:
        link = pool.try_acquire(wanted) or await pool.acquire(wanted, front=again)
        stream = link.open(kind, payload)
        if stream is not None:
            return Opened(link, stream)
        # Lost between being chosen and being used.
        link.release()
        again = True


def headers_for_client(head: ResponseHead, extra: Headers) -> Headers:
    """Return the headers of an answer without those of the connection, and with the proxy's own."""
    return [pair for pair in head.headers if pair[0] not in HOP_BY_HOP] + extra


async def _answer(stream: ClientStream, status: int, headers: Headers, part: bytes, ended: bool, send: Send) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if part or ended:
        await send({"type": "http.response.body", "body": part, "more_body": not ended})
    while not ended:
        kind, part = await stream.read()
        if kind & ~END != DATA:
            raise _failure(kind, part)
        ended = bool(kind & END)
        if not ended:
            # What arrived together leaves together: where chunks end means nothing in HTTP (RFC 9112, 7.1).
            part, ended = stream.read_on(part, MAX_PART_BYTES)
        await send({"type": "http.response.body", "body": part, "more_body": not ended})


def _failure(kind: int, payload: bytes) -> RemoraError:
    if kind & ~END != FAILURE:
        return ProtocolError(f"a frame of kind {kind:#x} in an answer")
    head, _ = unpack(FailureHead, payload)
    return ApplicationFailed(head.cause, head.text)


def _upload(stream: ClientStream, receive: Receive) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(_send_rest(stream, receive))


async def _send_rest(stream: ClientStream, receive: Receive) -> None:
    """Send the rest of the body, as fast as the replica reads. Asks for nothing before the request was accepted."""
    more = True
    try:
        while more:
            await stream.writable()
            message = await receive()
            if message["type"] == "http.disconnect":
                stream.cancel()
                return
            more = message.get("more_body", False)
            await stream.write_body(message.get("body", b""), end=not more)
    except (StreamClosed, Refused, LinkLost):
        return  # Whoever reads the answer learns the same.
