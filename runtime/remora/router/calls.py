"""One handle call on its way to a replica, and its value or values on the way back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

from remora.errors import ProtocolError, ReplicaUnavailableError, RequestCancelledError
from remora.router.affinity import Affinity
from remora.router.link import Link
from remora.router.pool import Pool
from remora.transport.client import ClientStream, LinkLost, Refused
from remora.transport.frames import CALL, DATA, END, FAILURE, ITEM, RESULT
from remora.transport.messages import (
    CallHead,
    Cause,
    FailureHead,
    ResultHead,
    assemble,
    pack,
    parts_of,
    sizes_of,
    unpack,
)
from remora.transport.stream import StreamClosed, total
from remora.types import CallMetadata, Payload, RemoteFailure


async def call(pool: Pool, metadata: CallMetadata, payload: Payload) -> Payload:
    """Run one call. Raises what `types.Caller.call` says."""
    stream, link, kind, content = await _first_answer(pool, metadata, payload)
    try:
        value, _ = await _value(stream, link, kind, content, RESULT)
        return value
    except LinkLost as lost:
        raise ReplicaUnavailableError("the replica vanished while it worked on the call") from lost
    finally:
        stream.cancel()


async def stream(pool: Pool, metadata: CallMetadata, payload: Payload) -> AsyncGenerator[Payload]:
    """Run one streaming call. Closing the iterator cancels it."""
    stream, link, kind, content = await _first_answer(pool, metadata, payload)
    try:
        while not (kind & ~END == DATA and kind & END):
            item, _ = await _value(stream, link, kind, content, ITEM)
            yield item
            kind, content = await stream.read()
    except LinkLost as lost:
        raise ReplicaUnavailableError("the replica vanished while it worked on the call") from lost
    finally:
        stream.cancel()


async def _first_answer(pool: Pool, metadata: CallMetadata, payload: Payload) -> tuple[ClientStream, Link, int, bytes]:
    """Find a replica that takes the call, send it, and return the first frame of the answer."""
    head = CallHead.of(metadata, sizes_of(payload))
    size = total(head.sizes)
    wanted = Affinity.of(metadata.multiplexed_model_id, metadata.session_id)
    again = False
    while True:
        link = pool.try_acquire(wanted) or await pool.acquire(wanted, front=again, patient=True)
        again = True
        parts = parts_of(payload)
        first = next(parts)
        more = size > len(first)
        stream = link.open(CALL if more else CALL | END, pack(head, first))
        if stream is None:
            link.release()
            continue
        try:
            if more:
                await _send_rest(stream, parts)
            kind, content = await stream.read()
            return stream, link, kind, content
        except Refused as refusal:
            link.refused(refusal.load)
        except LinkLost as lost:
            if lost.started:
                raise ReplicaUnavailableError("the replica vanished while it worked on the call") from lost
        except BaseException:
            stream.cancel()
            raise


async def _send_rest(stream: ClientStream, parts: Iterator[bytes]) -> None:
    try:
        await stream.write_parts(parts, end=True)
    except StreamClosed:
        return  # Answered early; the answer says why.


async def _value(stream: ClientStream, link: Link, kind: int, content: bytes, expected: int) -> tuple[Payload, bool]:
    bare = kind & ~END
    if bare == FAILURE:
        raise await _failure(stream, kind, content)
    if bare != expected:
        raise ProtocolError(f"a frame of kind {kind:#x} in place of a value")
    head, part = unpack(ResultHead, content)
    link.reported(head.load)
    body, ended = await stream.read_body(part, total(head.sizes), ended=bool(kind & END))
    return assemble(head.sizes, body), ended


async def _failure(stream: ClientStream, kind: int, content: bytes) -> Exception:
    head, part = unpack(FailureHead, content)
    body, _ = await stream.read_body(part, total(head.sizes), ended=bool(kind & END))
    if head.cause is Cause.CANCELLED:
        return RequestCancelledError(head.text)
    return RemoteFailure(head.text, assemble(head.sizes, body) if head.sizes else None)
