"""One request on a connection, seen from either end: parts out within the window, frames in, in order.

`client` and `server` give it its two meanings. All methods belong to the connection's event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from remora.errors import ProtocolError, RemoraError
from remora.transport.credits import ReceiveWindow, SendWindow
from remora.transport.frames import CREDIT, DATA, END, ITEM, MAX_PART_BYTES, MESSAGE, pack_u32

COSTLY = frozenset((DATA, ITEM, MESSAGE))
"""Kinds that use credit."""


class StreamClosed(RemoraError):
    """The other end wants nothing more of this stream."""


class Wire(Protocol):
    """What a stream needs of its connection."""

    loop: asyncio.AbstractEventLoop

    def put(self, kind: int, stream: int, payload: bytes | memoryview = b"") -> None:
        """Write a frame this turn, before any queued part."""
        ...

    def queue(self, stream: Stream, kind: int, payload: bytes | memoryview) -> None:
        """Write a part when this stream's turn comes."""
        ...


class Stream:
    """Opened, then frames and parts either way, then `close` once, by whoever learns first that it is over."""

    __slots__ = ("_credit", "_inbox", "_reader", "_room", "_wire", "_writer", "closed", "id", "parts")

    def __init__(self, wire: Wire, id: int, credit: int) -> None:
        self.id = id
        self.parts: deque[tuple[int, bytes | memoryview]] = deque()
        """Parts that wait for this stream's turn on the connection."""
        self.closed: Exception | None = None
        """Why nothing more can be sent or received; None while the stream is open."""
        self._wire = wire
        self._credit = SendWindow(credit)
        self._room = ReceiveWindow()
        self._inbox: deque[tuple[int, bytes]] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that all of it belongs to."""
        return self._wire.loop

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def writable(self) -> None:
        """Wait until there is credit. Raises what the stream was closed with."""
        while self._credit.available <= 0 and self.closed is None:
            self._writer = self._wire.loop.create_future()
            try:
                await self._writer
            finally:
                self._writer = None
        if self.closed is not None:
            raise self.closed

    async def write(self, kind: int, part: bytes | memoryview) -> None:
        """Send one part of at most `MAX_PART_BYTES` as soon as there is credit. Raises what the stream was closed with.

        The part is not copied: what a view shows must not change any more.
        """
        if self._credit.available <= 0 or self.closed is not None:
            await self.writable()
        self._credit.take(len(part))
        self._wire.queue(self, kind, part)

    async def write_body(self, body: bytes, *, end: bool) -> None:
        """Send a piece of a body of any size, in parts."""
        if len(body) <= MAX_PART_BYTES:
            if body or end:
                await self.write(DATA | END if end else DATA, body)
            return
        last = (len(body) - 1) // MAX_PART_BYTES * MAX_PART_BYTES
        view = memoryview(body)
        for start in range(0, len(body), MAX_PART_BYTES):
            kind = DATA | END if end and start == last else DATA
            await self.write(kind, view[start : start + MAX_PART_BYTES])

    async def write_parts(self, parts: Iterable[bytes], *, end: bool) -> None:
        """Send the rest of a pickled value, in parts that are known to fit."""
        previous: bytes | None = None
        for part in parts:
            if previous is not None:
                await self.write(DATA, previous)
            previous = part
        if previous is not None:
            await self.write(DATA | END if end else DATA, previous)

    def grant(self, size: int) -> None:
        """The other end gave credit."""
        self._credit.grant(size)
        if self._writer is not None and not self._writer.done() and self._credit.available > 0:
            self._writer.set_result(None)

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def deliver(self, kind: int, payload: bytes) -> None:
        """A frame arrived. Raises ProtocolError if the sender had no credit for it."""
        if kind & ~END in COSTLY:
            self._room.receive(len(payload))
        self._inbox.append((kind, payload))
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def read(self) -> tuple[int, bytes]:
        """Return the next frame: kind with its END bit, payload.

        What arrived before the stream was closed is still read; then raises what it was closed with.
        """
        while not self._inbox:
            if self.closed is not None:
                raise self.closed
            self._reader = self._wire.loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        kind, payload = self._inbox.popleft()
        if kind & ~END in COSTLY:
            grant = self._room.consume(len(payload))
            if grant and self.closed is None:
                self._wire.put(CREDIT, self.id, pack_u32(grant))
        return kind, payload

    def read_on(self, pieces: list[bytes], limit_bytes: int) -> bool:
        """Add the parts of a body that have arrived to ``pieces``; return whether the last one is among them.

        Stops at the first that makes them ``limit_bytes`` or more, and at a frame that is no DATA.
        """
        inbox = self._inbox
        if not inbox:
            return False
        size = sum(map(len, pieces))
        grants = 0
        ended = False
        while not ended and inbox and size < limit_bytes and inbox[0][0] & ~END == DATA:
            kind, payload = inbox.popleft()
            if payload:
                pieces.append(payload)
            size += len(payload)
            grants += self._room.consume(len(payload))
            ended = bool(kind & END)
        if grants and self.closed is None:
            self._wire.put(CREDIT, self.id, pack_u32(grants))
        return ended

    async def read_body(self, first: bytes, size: int, *, ended: bool) -> tuple[bytes | bytearray, bool]:
        """Collect a pickled value of ``size`` bytes, of which ``first`` came with its head; and whether END was seen.

        Raises ProtocolError if what comes is more, less or something else.
        """
        if len(first) == size:
            return first, ended
        body = bytearray(first)
        while len(body) < size and not ended:
            kind, part = await self.read()
            if kind & ~END != DATA:
                raise ProtocolError(f"a frame of kind {kind:#x} inside a value")
            body += part
            ended = bool(kind & END)
        if len(body) != size:
            raise ProtocolError(f"a value of {size} bytes came with {len(body)}")
        return body, ended

    def close(self, reason: Exception) -> None:
        """Nothing more will come or may be sent: wake whoever waits. Only the first reason counts."""
        if self.closed is not None:
            return
        self.closed = reason
        for waiter in (self._reader, self._writer):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)


def total(sizes: Iterable[int]) -> int:
    """Return the size of a pickled value; raises ProtocolError for negative sizes."""
    whole = 0
    for size in sizes:
        if size < 0:
            raise ProtocolError("a value with a negative size")
        whole += size
    return whole
