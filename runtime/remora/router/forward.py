"""One HTTP request on its way to a replica and its answer on the way back. The proxy calls `forward`.

acquire a place → open → ACCEPT → rest of the body ┐
      ▲                  │                         ├→ RESPONSE → parts → END
      └─ refused, or lost before ACCEPT            ┘
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from remora.errors import ProtocolError, RemoraError
from remora.router.affinity import Affinity
from remora.router.pool import Pool
from remora.router.retry import check_never_begun
from remora.router.waiting import Opened
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

# Of the connection between client and proxy, not of the request (RFC 9110, 7.6.1).
HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)

AT_ONCE_BYTES: Final = 2 * MAX_PART_BYTES
"""Of an answer, that is handed on in one go."""


class ApplicationFailed(RemoraError):
    """The user's code raised, or ended the request without an answer."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


class Asking(Protocol):
    """Who asks: the client's side of a request."""

    def answer(self, status: int, headers: Headers, body: bytes) -> bool:
        """Take a whole answer at once; False if it has to come by `begin`."""
        ...

    async def begin(self, status: int, headers: Headers, pieces: list[bytes], *, more: bool) -> None:
        """Take the head of an answer, and what there is of its body."""
        ...

    async def go_on(self, pieces: list[bytes], *, more: bool) -> None:
        """Take pieces of the body; returns when there may be more."""
        ...

    async def read(self) -> tuple[list[bytes], bool] | None:
        """Return pieces of the request's body, and whether it goes on; None if the client has gone."""
        ...


async def forward(
    pool: Pool,
    head: RequestHead,
    part: bytes | None,
    asking: Asking,
    extra: Headers,
    opened: Opened | None = None,
    wanted: Affinity | None = None,
) -> int:
    """Send a request to a replica of ``pool`` and its answer to who asks; return the status.

    ``part`` is the whole body; None if it is still to be read. ``extra`` headers are added to the answer. Cancelling
    cancels the user's code. Raises BackPressureError, DeploymentUnavailable, ReplicaUnavailableError and
    ApplicationFailed; if the answer was begun before, it cannot be completed. ``opened`` is a stream on which
    the request is under way already; ``wanted`` is what its replica should have.
    """
    kind = REQUEST if part is None else REQUEST | END
    payload = pack(head, part or b"")
    again = False
    while True:
        link, stream = opened or await pool.open(kind, payload, wanted, front=again)
        upload = _upload(stream, asking) if part is None else None
        try:
            answer, content = await stream.read()
            if answer & ~END != RESPONSE:
                raise _failure(answer, content)
            response, first = unpack(ResponseHead, content)
            link.reported(response.load)
            headers = headers_for_client(response, extra)
            if not (answer & END and asking.answer(response.status, headers, first)):
                await _answer(stream, response.status, headers, first, bool(answer & END), asking)
            return response.status
        except (Refused, LinkLost) as ended:
            check_never_begun(ended, "request")
        finally:
            if upload is not None:
                upload.cancel()
            stream.cancel()
        opened, again = None, True


def headers_for_client(head: ResponseHead, extra: Headers) -> Headers:
    """Return the headers of an answer without those of the connection, and with the proxy's own."""
    return [pair for pair in head.headers if pair[0] not in HOP_BY_HOP] + extra


async def _answer(
    stream: ClientStream, status: int, headers: Headers, part: bytes, ended: bool, asking: Asking
) -> None:
    pieces = [part] if part else []
    if not ended:
        # What arrived together leaves together: where chunks end means nothing in HTTP (RFC 9112, 7.1).
        ended = stream.read_on(pieces, AT_ONCE_BYTES)
    await asking.begin(status, headers, pieces, more=not ended)
    while not ended:
        kind, part = await stream.read()
        if kind & ~END != DATA:
            raise _failure(kind, part)
        pieces = [part]
        ended = bool(kind & END) or stream.read_on(pieces, AT_ONCE_BYTES)
        await asking.go_on(pieces, more=not ended)


def _failure(kind: int, payload: bytes) -> RemoraError:
    if kind & ~END != FAILURE:
        return ProtocolError(f"a frame of kind {kind:#x} in an answer")
    head, _ = unpack(FailureHead, payload)
    return ApplicationFailed(head.cause, head.text)


def _upload(stream: ClientStream, asking: Asking) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(_send_rest(stream, asking))


async def _send_rest(stream: ClientStream, asking: Asking) -> None:
    """Send the rest of the body, as fast as the replica reads. Asks for nothing before the request was accepted."""
    more = True
    try:
        while more:
            await stream.writable()
            read = await asking.read()
            if read is None:
                stream.cancel()
                return
            pieces, more = read
            for piece in pieces[:-1]:
                await stream.write_body(piece, end=False)
            await stream.write_body(pieces[-1], end=not more)
    except (StreamClosed, Refused, LinkLost):
        return  # Whoever reads the answer learns the same.
