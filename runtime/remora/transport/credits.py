"""How much of one stream may be on its way: a window each way, so that a slow reader stalls only itself. Pure.

Every byte of DATA, MESSAGE and ITEM costs; heads do not. A sender with any credit left may send one whole part, so the
receiver never holds more than a window and one part: ``WINDOW_BYTES + MAX_PAYLOAD_BYTES`` for each stream.
"""

from __future__ import annotations

from typing import Final

from remora.errors import ProtocolError
from remora.transport.frames import MAX_PAYLOAD_BYTES

WINDOW_BYTES: Final = 256 * 1024
GRANT_BYTES: Final = WINDOW_BYTES // 4
"""Consumed bytes are granted again in portions of at least this, to keep CREDIT frames few."""


class SendWindow:
    """What the other end still takes of us."""

    __slots__ = ("available",)

    def __init__(self, available: int) -> None:
        self.available = available

    def take(self, size: int) -> None:
        """Count a part that is sent; call only while ``available`` is positive."""
        self.available -= size

    def grant(self, size: int) -> None:
        """The other end has consumed so much."""
        self.available += size
        if self.available > WINDOW_BYTES:
            raise ProtocolError("more credit was granted than was used")


class ReceiveWindow:
    """What we still take of the other end."""

    __slots__ = ("_consumed", "_unread")

    def __init__(self) -> None:
        self._unread = 0
        self._consumed = 0

    def receive(self, size: int) -> None:
        """Count a part that arrived; raises ProtocolError if the sender had no credit for it."""
        self._unread += size
        if self._unread + self._consumed > WINDOW_BYTES + MAX_PAYLOAD_BYTES:
            raise ProtocolError("a stream was sent more than its window")

    def consume(self, size: int) -> int:
        """Count a part that was read; return the credit to grant now, often 0."""
        self._unread -= size
        self._consumed += size
        if self._consumed < GRANT_BYTES:
            return 0
        grant, self._consumed = self._consumed, 0
        return grant
