"""One handle call on its way to a replica, and its value or values on the way back.

`call` and `stream` find a replica and call it in one step; `reserve` takes a place on one first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any, NamedTuple

from remora.errors import ProtocolError, ReplicaUnavailableError, RequestCancelledError
from remora.router.affinity import Affinity
from remora.router.link import Link
from remora.router.pool import Pool
from remora.router.retry import check_never_begun
from remora.transport.client import ClientStream, LinkLost, Refused
from remora.transport.frames import CALL, DATA, END, FAILURE, ITEM, RESERVE, RESULT
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
    return await _one(await _first_answer(pool, metadata, payload), metadata)


async def stream(pool: Pool, metadata: CallMetadata, payload: Payload) -> AsyncGenerator[Payload]:
    """Run one streaming call. Closing the iterator cancels it."""
    async with aclosing(_items(await _first_answer(pool, metadata, payload), metadata)) as items:
        async for item in items:
            yield item


class Reservation:
    """A place on one replica (a `types.Reservation`): use it once with `call` or `stream`, or `release` it."""

    def __init__(self, stream: ClientStream, link: Link) -> None:
        self.replica = link.name
        self.host, self.port, self.node = link.address.host, link.address.port, link.address.node
        self._stream = stream
        self._link = link

    def release(self) -> None:
        """Give the place back; cancels a call that was sent with it."""
        self._stream.cancel()

    async def call(self, metadata: CallMetadata, payload: Payload) -> Payload:
        """Run one call. Raises what `types.Caller.call` says; ReplicaUnavailableError when the place was lost."""
        async with asyncio.timeout(metadata.deadline_s):
            return await _one(await self._send(metadata, payload), metadata)

    async def stream(self, metadata: CallMetadata, payload: Payload) -> AsyncGenerator[Payload]:
        """Run one streaming call. Closing the iterator cancels it."""
        async with aclosing(_items(await self._send(metadata, payload), metadata)) as items:
            async for item in items:
                yield item

    async def _send(self, metadata: CallMetadata, payload: Payload) -> _Answer:
        head = CallHead.of(metadata, sizes_of(payload))
        parts = parts_of(payload)
        first = next(parts)
        more = total(head.sizes) > len(first)
        try:
            self._stream.call(CALL if more else CALL | END, pack(head, first))
            if more:
                await _send_rest(self._stream, parts)
            return _Answer(self._stream, self._link, *await self._stream.read())
        except (LinkLost, StreamClosed) as lost:
            raise ReplicaUnavailableError(f"replica {self.replica} is no longer available") from lost
        except BaseException:
            self._stream.cancel()
            raise


async def reserve(pool: Pool, metadata: CallMetadata, replica: str = "") -> Reservation:
    """Take a place on a replica: the named one, or the one that a call would go to.

    Raises BackPressureError and DeploymentUnavailable as a call does, ReplicaUnavailableError for a named one only.
    """
    wanted = Affinity.of(metadata.multiplexed_model_id, metadata.session_id)
    again = False
    while True:
        link = await (pool.acquire_on(replica) if replica else pool.acquire(wanted, front=again, patient=True))
        again = True
        stream = link.open(RESERVE, b"")
        if stream is None:
            link.release()
            continue
        try:
            # There is credit from ACCEPT on.
            await stream.writable()
            return Reservation(stream, link)
        except (Refused, LinkLost):
            continue  # Nothing is on its way that could have begun.
        except BaseException:
            stream.cancel()
            raise


class _Answer(NamedTuple):
    """The first frame of an answer."""

    stream: ClientStream
    link: Link
    kind: int
    content: bytes
    done: Callable[[], None] | None = None
    """To be told when the call is over: a request router of the user's own."""


async def _one(answer: _Answer, metadata: CallMetadata) -> Payload:
    try:
        value, _ = await _value(answer.stream, answer.link, answer.kind, answer.content, RESULT, metadata)
        return value
    except LinkLost as lost:
        raise ReplicaUnavailableError("the replica vanished while it worked on the call") from lost
    finally:
        answer.stream.cancel()
        if answer.done is not None:
            answer.done()


async def _items(answer: _Answer, metadata: CallMetadata) -> AsyncGenerator[Payload]:
    stream, link, kind, content, done = answer
    try:
        while not (kind & ~END == DATA and kind & END):
            item, _ = await _value(stream, link, kind, content, ITEM, metadata)
            yield item
            kind, content = await stream.read()
    except LinkLost as lost:
        raise ReplicaUnavailableError("the replica vanished while it worked on the call") from lost
    finally:
        stream.cancel()
        if done is not None:
            done()


async def _first_answer(pool: Pool, metadata: CallMetadata, payload: Payload) -> _Answer:
    """Find a replica that takes the call, send it, and return the first frame of the answer."""
    head = CallHead.of(metadata, sizes_of(payload))
    size = total(head.sizes)
    wanted = Affinity.of(metadata.multiplexed_model_id, metadata.session_id)
    again = False
    while True:
        about: Any = None
        parts = parts_of(payload)
        first = next(parts)
        more = size > len(first)
        kind, content = CALL if more else CALL | END, pack(head, first)
        chooser = pool.chooser
        if chooser is None:
            link, stream = await pool.open(kind, content, wanted, front=again, patient=True)
        else:
            link, about = await chooser.acquire(metadata, payload)
            opened = link.open(kind, content)
            if opened is None:
                link.release()
                continue
            stream = opened
        again = True
        try:
            if more:
                await _send_rest(stream, parts)
            kind, content = await stream.read()
            done = partial(chooser.completed, link, about) if chooser is not None and about is not None else None
            return _Answer(stream, link, kind, content, done)
        except (Refused, LinkLost) as ended:
            check_never_begun(ended, "call")
        except BaseException:
            stream.cancel()
            raise


async def _send_rest(stream: ClientStream, parts: Iterator[bytes]) -> None:
    try:
        await stream.write_parts(parts, end=True)
    except StreamClosed:
        return  # Answered early; the answer says why.


async def _value(
    stream: ClientStream, link: Link, kind: int, content: bytes, expected: int, metadata: CallMetadata
) -> tuple[Payload, bool]:
    bare = kind & ~END
    if bare == FAILURE:
        raise await _failure(stream, kind, content, metadata)
    if bare != expected:
        raise ProtocolError(f"a frame of kind {kind:#x} in place of a value")
    head, part = unpack(ResultHead, content)
    link.reported(head.load)
    body, ended = await stream.read_body(part, total(head.sizes), ended=bool(kind & END))
    return assemble(head.sizes, body), ended


async def _failure(stream: ClientStream, kind: int, content: bytes, metadata: CallMetadata) -> Exception:
    head, part = unpack(FailureHead, content)
    body, _ = await stream.read_body(part, total(head.sizes), ended=bool(kind & END))
    if head.cause is Cause.CANCELLED:
        return RequestCancelledError(metadata.request_id, head.text)
    return RemoteFailure(head.text, assemble(head.sizes, body) if head.sizes else None)
