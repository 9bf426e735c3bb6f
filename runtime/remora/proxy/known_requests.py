"""Heads of requests as they were parsed, kept by the bytes that they came as. Pure.

Clients repeat themselves: what one sends behind its request line is, byte for byte, what it sent with the request
before, as long as it asks for nothing else than another path. There is nothing in it to parse again.

Only what the parser took for a whole request is kept, with what it made of it; so a head that is known means what the
parser would have said. A head with anything unusual in it (an upgrade, a chunked body, `Expect`) is always parsed.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

import httptools

from remora.proxy.recurring import KEPT, Recurring
from remora.proxy.visit import Said, hear
from remora.transport.messages import Headers

LONGEST_BYTES: Final = 2048
"""Of a block, or a line, that is kept."""
END: Final = b"\r\n\r\n"
_LINE: Final = re.compile(
    rb"(?P<method>GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (?P<target>/[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*) HTTP/1\.1"
)
"""Request lines of which nothing is left to refuse; what else a parser takes, it is asked for."""
_UNUSUAL: Final = frozenset((b"transfer-encoding", b"upgrade", b"expect", b"http2-settings", b"trailer"))


class Line(NamedTuple):
    """A request line."""

    method: str
    path: str
    """With %-escapes undone."""
    raw_path: bytes
    query: bytes


class Block(NamedTuple):
    """The lines behind it."""

    headers: Headers
    """Names in lower case; not to be changed."""
    length: int
    """Of the body, in bytes."""
    said: Said


class KnownRequests:
    """Those of a process: `take` what was received; `learn` what had to be parsed."""

    __slots__ = ("_blocks", "_lines")

    def __init__(self) -> None:
        self._lines: dict[bytes, Line] = {}
        self._blocks = Recurring[Block]()

    def __len__(self) -> int:
        """Return how many blocks of headers are kept."""
        return len(self._blocks)

    def take(self, data: bytes) -> tuple[Line, Block, bytes] | None:
        """Return the one request that ``data`` is, and its body; None if it has to be parsed."""
        at = data.find(b"\r\n")
        end = data.find(END, at) + len(END)
        block = self._blocks.get(data[at:end])
        if block is None or end + block.length != len(data):
            return None
        line = self._lines.get(data[:at]) or self._line(data[:at])
        if line is None:
            return None
        return line, block, data[end:]

    def learn(self, data: bytes, headers: Headers) -> None:
        """Keep what ``data`` was parsed to, which is one request and nothing else, if its headers have come before."""
        at = data.find(b"\r\n")
        end = data.find(END, at) + len(END)
        packed = data[at:end]
        if len(packed) <= LONGEST_BYTES and _LINE.fullmatch(data, 0, at) is not None:
            self._blocks.learn(packed, lambda: _block(headers, len(data) - end))

    def _line(self, data: bytes) -> Line | None:
        matched = _LINE.fullmatch(data)
        if matched is None or len(data) > LONGEST_BYTES:
            return None
        try:
            url = httptools.parse_url(matched["target"])
        except httptools.HttpParserInvalidURLError:
            return None
        path = url.path.decode("ascii")
        line = Line(
            matched["method"].decode("ascii"), unquote(path) if "%" in path else path, url.path, url.query or b""
        )
        if len(self._lines) >= KEPT:
            self._lines.clear()
        self._lines[data] = line
        return line


def _block(headers: Headers, received: int) -> Block | None:
    """Return what is kept of headers, unless something in them is unusual, or not all, or more, was received."""
    length = 0
    for name, value in headers:
        if name in _UNUSUAL or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
        if name == b"content-length":
            if not value.isdigit() or len(value) > 9:
                return None
            length = int(value)
    return Block(headers, length, hear(headers)) if length == received else None
