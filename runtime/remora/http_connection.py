"""HTTP/1.1 to our own servers, in plain text: requests of kilobytes, whole answers, connections that are used again.

Every replica and every proxy follows a controller with it. aiohttp, which can do this too, takes 8 MB of memory in each
of them and a sixth of a second of their start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import urlsplit

import httptools

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
_IDEMPOTENT: Final = frozenset(("GET", "PUT", "DELETE"))
"""Of those that we use (RFC 9110, 9.2.2)."""


class ConnectionBroken(OSError):
    """The connection ended, or what came was no HTTP. ``answer_begun``: some of an answer had come."""

    def __init__(self, why: str, *, answer_begun: bool) -> None:
        super().__init__(why)
        self.answer_begun = answer_begun


class Response:
    """One answer; names of headers are in lower case."""

    __slots__ = ("body", "headers", "keeps", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, keeps: bool) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.keeps = keeps
        """The connection may be used again."""


class Connection(asyncio.Protocol):
    """One connection, for one request at a time."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Response] | None = None
        self._answer_begun = False
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    async def exchange(self, request: bytes) -> Response:
        """Send a request and return its answer; raise ConnectionBroken. Whoever gives it up closes the connection."""
        if self._transport is None or not self.is_open:
            raise ConnectionBroken("the connection was closed", answer_begun=False)
        self._begin()
        self._answer_begun = False
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def close(self) -> None:
        """Close it now, whatever is under way."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, why: str) -> None:
        self.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionBroken(why, answer_begun=self._answer_begun))

    # ── asyncio.Protocol ─────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none by their class.
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._waiting.done():
            self.close()  # Nobody asked for it.
            return
        self._answer_begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is no HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(str(error) if error else "the connection was closed before the answer was complete")

    # ── httptools ────────────────────────────────────────────────────────────────────────────────────────────────

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header has come."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, piece: bytes) -> None:
        """A piece of the body has come."""
        self._size += len(piece)
        if self._size > MAX_ANSWER_BYTES:
            self._fail(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        else:
            self._body.append(piece)

    def on_message_complete(self) -> None:
        """The answer is there."""
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = {}
        elif self._waiting is not None and not self._waiting.done():
            body = b"".join(self._body)
            self._waiting.set_result(Response(status, self._headers, body, self._parser.should_keep_alive()))


class Connections:
    """Those to one server: as many as there are requests at a time, kept for later ones. `close` them.

    Raises ValueError when ``url`` is not that of a server in plain HTTP.
    """

    def __init__(self, url: str, connect_timeout_s: float) -> None:
        found = urlsplit(url)
        if found.scheme != "http" or not found.hostname:
            raise ValueError(f"{url!r} is not http://HOST:PORT")
        self._host = found.hostname
        self._port = found.port or 80
        self._authority = found.netloc
        self._connect_timeout_s = connect_timeout_s
        self._all: set[Connection] = set()
        self._idle: list[Connection] = []

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send one request and return its answer; raise OSError, of which ConnectionBroken and TimeoutError are.

        ``target`` is path and query, encoded. Raises ValueError when it could not be sent as it is.
        """
        if not target.isascii() or not target.isprintable() or " " in target:
            raise ValueError(f"{target!r} is not encoded")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._authority}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join((*lines, "", "")).encode("latin-1") + body
        while True:
            kept = self._kept()
            connection = kept or await self._opened()
            try:
                response = await connection.exchange(request)
            except BaseException as error:
                self._let_go(connection)
                # The server closed it while it was idle, and never saw the request.
                unseen = isinstance(error, ConnectionBroken) and not error.answer_begun
                if kept is not None and unseen and method in _IDEMPOTENT:
                    continue
                raise
            if response.keeps and connection.is_open:
                self._idle.append(connection)
            else:
                self._let_go(connection)
            return response

    def close(self) -> None:
        """Close all of them; requests under way fail. Later ones open new connections."""
        for connection in tuple(self._all):
            self._let_go(connection)
        self._idle.clear()

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            self._let_go(connection)
        return None

    async def _opened(self) -> Connection:
        async with asyncio.timeout(self._connect_timeout_s):
            _, connection = await asyncio.get_running_loop().create_connection(Connection, self._host, self._port)
        self._all.add(connection)
        return connection

    def _let_go(self, connection: Connection) -> None:
        self._all.discard(connection)
        connection.close()
