"""Cuts what a socket was read into up into frames. Pure.

socket ─▶ room ─ filled ─▶ frames, whose payloads are copies; what is left of the last one stays where it is
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from remora.errors import ProtocolError
from remora.transport.buffers import BUFFER_BYTES, BUFFERS, Buffers
from remora.transport.frames import (
    DATA,
    END,
    HEADER,
    HEADER_BYTES,
    MAX_HANDSHAKE_BYTES,
    MAX_PART_BYTES,
    MESSAGE,
    Frame,
)

SMALL_BYTES: Final = 8 * 1024
"""So much is cheaper to cut up as bytes than as a view of the buffer."""
STRANGERS_BYTES: Final = 1024
"""What a connection that has proved nothing is read into."""


class Decoder:
    """Of one connection: before each read `room`, after it `filled`. ``limit``, of a payload, starts low."""

    __slots__ = ("_buffer", "_buffers", "_end", "_start", "limit")

    def __init__(self, limit: int = MAX_HANDSHAKE_BYTES, buffers: Buffers = BUFFERS) -> None:
        self.limit = limit
        """May be raised once the other end is known, also while `filled` goes on."""
        self._buffers = buffers
        self._buffer: memoryview | None = None
        self._start = 0
        self._end = 0

    def room(self) -> memoryview:
        """Return where the next bytes are to be read; at least one fits."""
        buffer = self._buffer
        if buffer is None:
            known = self.limit > MAX_HANDSHAKE_BYTES
            buffer = self._buffer = self._buffers.take() if known else memoryview(bytearray(STRANGERS_BYTES))
        return buffer[self._end :] if self._end else buffer

    def filled(self, size: int) -> Iterator[Frame]:
        """Yield the frames that ``size`` more bytes completed; raise ProtocolError when a header announces too much."""
        buffer = self._buffer
        assert buffer is not None
        self._end += size
        at, end = self._start, self._end
        data: bytes | memoryview = buffer
        small = end - at <= SMALL_BYTES
        if small:
            data = bytes(buffer[at:end])
            at, end = 0, end - at
        while end - at >= HEADER_BYTES:
            length, kind, stream = HEADER.unpack_from(data, at)
            if length > self.limit or (length > MAX_PART_BYTES and kind & ~END in (DATA, MESSAGE)):
                raise ProtocolError(f"a frame of kind {kind:#x} with {length} bytes exceeds the limit")
            begin = at + HEADER_BYTES
            if begin + length > end:
                break
            at = begin + length
            payload = data[begin:at]
            yield kind, stream, bytes(payload)
        self._keep(buffer, end - at)

    def _keep(self, buffer: memoryview, size: int) -> None:
        """Keep the last ``size`` bytes for the next read."""
        if not size:
            if len(buffer) == BUFFER_BYTES:
                self._buffers.give(buffer)
            self._buffer = None
            self._start = self._end = 0
            return
        start = self._start = self._end - size
        if len(buffer) < BUFFER_BYTES and self.limit > MAX_HANDSHAKE_BYTES:
            self._buffer = self._buffers.take()
        elif len(buffer) - self._end >= len(buffer) // 4:
            return
        assert self._buffer is not None
        self._buffer[:size] = buffer[start : self._end]
        self._start, self._end = 0, size
