"""A request's body as it came: the pieces that were read, not copied together."""

from __future__ import annotations

from remora.transport.writing import LARGE_BYTES


class Pieces:
    """In the place of the bytearray in which uvicorn collects a body: has what uvicorn and we use of one."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def __iadd__(self, piece: bytes) -> Pieces:
        """Add what has arrived."""
        self._pieces.append(piece)
        self._size += len(piece)
        return self

    def __len__(self) -> int:
        """Return the size of all, in bytes."""
        return self._size

    def __bytes__(self) -> bytes:
        """Return all of it in one."""
        return b"".join(self._pieces)

    def taken(self) -> list[bytes]:
        """Return what there is, one piece at least, to be sent on: small pieces in one."""
        if self._size < LARGE_BYTES * max(1, len(self._pieces)):
            return [b"".join(self._pieces)]
        return self._pieces
