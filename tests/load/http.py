"""A keep-alive HTTP/1.1 client as small as it can be.

Client libraries repeat a request when a kept connection turns out closed, which is just the failure that rollouts must
not cause. This one does not: a request that does not get its whole answer is a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass


class BadAnswer(Exception):
    """The connection broke, or what came is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Head of a response."""

    status: int
    headers: dict[str, str]

    @property
    def closes(self) -> bool:
        """The server said that this connection ends here: a polite end, no failure."""
        return self.headers.get("connection", "").lower() == "close"


class Connection:
    """One kept connection to one server; one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[Answer, bytes]:
        """Send one request and return its whole answer; raises OSError or BadAnswer, and never tries twice."""
        parts: list[bytes] = []
        answer: Answer | None = None
        async for item in self.stream(method, path, body, headers):
            if isinstance(item, Answer):
                answer = item
            else:
                parts.append(item)
        if answer is None:
            raise BadAnswer("no answer came")
        return answer, b"".join(parts)

    async def stream(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> AsyncIterator[Answer | bytes]:
        """Send one request and yield its head, then the parts of its body as they come."""
        reader, writer = await self._connected()
        try:
            writer.write(self._head(method, path, body, headers or {}) + body)
            await writer.drain()
            answer = await _read_head(reader)
            yield answer
            async for part in _read_body(reader, answer):
                yield part
        except BaseException:
            self.close()
            raise
        if answer.closes:
            self.close()

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        return self._streams

    def _head(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._address[0]}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _read_head(reader: asyncio.StreamReader) -> Answer:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise BadAnswer(f"the connection ended after {len(error.partial)} bytes of the head") from error
    status_line, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.split(":", 1) for line in lines if ":" in line)
    return Answer(int(status_line.split(" ")[1]), {name.strip().lower(): value.strip() for name, value in fields})


async def _read_body(reader: asyncio.StreamReader, answer: Answer) -> AsyncIterator[bytes]:
    try:
        if answer.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                yield await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readuntil(b"\r\n")
        else:
            remaining = int(answer.headers.get("content-length", "0"))
            while remaining:
                part = await reader.read(min(remaining, 65536))
                if not part:
                    raise BadAnswer(f"the connection ended {remaining} bytes short")
                remaining -= len(part)
                yield part
    except asyncio.IncompleteReadError as error:
        raise BadAnswer("the connection ended within the body") from error
