"""Heads of answers as clients get them, kept by the bytes that they came as. Pure.

Most answers of an application differ in their bodies only, and in the load that the replica reports, which is the last
byte of the head: there is nothing to unpack, to look through and to put together again.
"""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from remora.proxy.recurring import Recurring
from remora.router.forward import HOP_BY_HOP
from remora.transport.messages import ResponseHead

LONGEST_BYTES: Final = 1024
"""Of a head that is kept."""


class KnownHead(NamedTuple):
    """Status and headers of an answer, without those that the proxy adds."""

    status: int
    line: bytes
    """Status line, with its end."""
    block: bytes
    """Lines of the headers, each with its end."""
    length: int
    """Content-Length."""


class KnownHeads:
    """Those of a process: `take` for each answer, `learn` what had to be unpacked."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = Recurring[KnownHead]()

    def take(self, payload: bytes) -> tuple[KnownHead, int, bytes] | None:
        """Return the head of a RESPONSE, the replica's load, and the body; None if it has to be unpacked."""
        end = 4 + int.from_bytes(payload[:4], "big")
        head = self._kept.get(payload[4 : end - 1])
        if head is None or end > len(payload):
            return None
        return head, payload[end - 1], payload[end:]

    def learn(self, payload: bytes, head: ResponseHead) -> None:
        """Keep what a payload was unpacked to, if it has come before."""
        end = 4 + int.from_bytes(payload[:4], "big")
        packed = payload[4 : end - 1]
        # Of a load above 255 some bytes are in `packed`: such a head is never kept, so it is never found.
        if len(packed) <= LONGEST_BYTES and head.load == payload[end - 1]:
            self._kept.learn(packed, partial(_known, head))


def _known(head: ResponseHead) -> KnownHead | None:
    line = STATUS_LINE.get(head.status)
    length = -1
    content: list[bytes] = []
    for name, value in head.headers:
        if name in HOP_BY_HOP:
            continue
        if name == b"content-length":
            length = int(value) if value.isdigit() and len(value) < 20 else -1
        content += (name, b": ", value, b"\r\n")
    block = b"".join(content)
    # A header with a line break in it would make one line more: that is for uvicorn to refuse.
    if line is None or length < 0 or not block.count(b"\n") == block.count(b"\r") == len(content) // 4:
        return None
    return KnownHead(head.status, line, block, length)
