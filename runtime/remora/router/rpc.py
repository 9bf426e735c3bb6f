"""One gRPC call on its way: messages as bytes, either way, and a status at the end. The proxy calls `carry`.

Whether a call has one message or many, on either side, is the replica's to know: on the wire they look alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from remora.errors import ProtocolError
from remora.router.affinity import Affinity
from remora.router.forward import ApplicationFailed
from remora.router.link import Link
from remora.router.pool import Pool
from remora.router.retry import check_never_begun
from remora.transport.client import ClientStream, LinkLost, Refused
from remora.transport.frames import DATA, END, FAILURE, MESSAGE, RESPONSE, RPC
from remora.transport.messages import FailureHead, RpcHead, RpcStatus, cut_bytes, pack, unpack
from remora.transport.stream import StreamClosed

MAX_MESSAGE_BYTES: Final = 256 * 1024 * 1024
"""Of one message, which is held whole."""


async def carry(
    pool: Pool,
    head: RpcHead,
    read: Callable[[], Awaitable[bytes | None]],
    write: Callable[[bytes], Awaitable[object]],
    wanted: Affinity | None = None,
) -> RpcStatus:
    """Carry one call; ``read`` gives the client's next message, or None after the last.

    Nothing is read before a replica has accepted, so that a call that none has begun can go to any other. Cancelling
    cancels the user's code. Raises BackPressureError, DeploymentUnavailable, ReplicaUnavailableError and
    ApplicationFailed.
    """
    payload = pack(head)
    again = False
    while True:
        link, stream = await pool.open(RPC, payload, wanted, front=again)
        again = True
        speaking = asyncio.ensure_future(_speak(stream, read))
        try:
            return await _listen(stream, link, write)
        except (Refused, LinkLost) as ended:
            check_never_begun(ended, "call")
        finally:
            speaking.cancel()
            stream.cancel()


async def _speak(stream: ClientStream, read: Callable[[], Awaitable[bytes | None]]) -> None:
    try:
        while True:
            await stream.writable()
            message = await read()
            if message is None:
                await stream.write(DATA | END, b"")
                return
            for part in cut_bytes(message):
                await stream.write(MESSAGE, part)
    except (StreamClosed, Refused, LinkLost):
        return  # Whoever listens learns the same.


async def _listen(stream: ClientStream, link: Link, write: Callable[[bytes], Awaitable[object]]) -> RpcStatus:
    packed = bytearray()
    while True:
        kind, part = await stream.read()
        bare = kind & ~END
        if bare == MESSAGE and part:
            packed += memoryview(part)[1:]
            if len(packed) > MAX_MESSAGE_BYTES:
                raise ProtocolError(f"the application sent a message of more than {MAX_MESSAGE_BYTES} bytes")
            if part[0]:
                await write(bytes(packed))
                packed.clear()
        elif bare == RESPONSE:
            status, _ = unpack(RpcStatus, part)
            link.reported(status.load)
            return status
        elif bare == FAILURE:
            failure, _ = unpack(FailureHead, part)
            raise ApplicationFailed(failure.cause, failure.text)
        else:
            raise ProtocolError(f"a frame of kind {kind:#x} in a gRPC call")
