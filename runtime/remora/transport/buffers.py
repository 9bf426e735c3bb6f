"""Memory that sockets are read into. Pure.

A connection borrows a buffer for a read and keeps it only while a frame is incomplete: a process with a thousand quiet
connections needs a handful, and what is read next lies behind what came before without being moved.
"""

from __future__ import annotations

from typing import Final

from remora.transport.frames import MAX_PART_BYTES

BUFFER_BYTES: Final = 4 * MAX_PART_BYTES
"""Of one buffer: the largest frame, and as much again."""
KEPT: Final = 8
"""Buffers that wait for the next read; more are given back to the system."""


class Buffers:
    """Those of a process. Any thread may take and give: a list's pop and append are atomic."""

    __slots__ = ("_free",)

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    def take(self) -> memoryview:
        """Lend a buffer of `BUFFER_BYTES`."""
        try:
            return self._free.pop()
        except IndexError:
            return memoryview(bytearray(BUFFER_BYTES))

    def give(self, buffer: memoryview) -> None:
        """Take a buffer back; nobody may look at it any more."""
        if len(self._free) < KEPT:
            self._free.append(buffer)


BUFFERS: Final = Buffers()
