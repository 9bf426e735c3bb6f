"""The client's side of one request at the proxy: its body as it came, and its answer in as few writes as possible.

What is out of the ordinary, such as a chunked answer, goes the way of uvicorn's ``send``, and comes out the same.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from remora.proxy.known_heads import KnownHead
from remora.proxy.pieces import Pieces
from remora.transport.frames import MAX_PART_BYTES
from remora.transport.messages import Headers
from remora.transport.writing import write
from remora.types import Scope

CLIENT: Final = "remora.client"
"""Key of the `Client` in the scope."""


class Serving(Protocol):
    """What serves a request."""

    def cancel(self) -> object:
        """The client has gone."""
        ...


class Shortcut(Protocol):
    """Who may serve a whole request without a task: the proxy's app."""

    def take_short_way(self, scope: Scope, client: Client) -> Serving | None:
        """Begin to serve a request whose body is there; None if that takes a task."""
        ...


class Connection(Protocol):
    """What a request asks of the connection that it came by."""

    loop: asyncio.AbstractEventLoop
    serving: Serving | None
    """The request under way: cancelled when the client goes."""


class Client:
    """The client's side of one request."""

    __slots__ = ("_app", "_connection", "_head_waits", "cycle")

    def __init__(self, connection: Connection, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._connection = connection
        self.cycle = cycle
        self._app = app
        self._head_waits = b""
        """Head of the answer, which is written together with the first of its body."""

    @property
    def body(self) -> bytes:
        """What has arrived of the body."""
        return bytes(self.cycle.body)

    @property
    def body_bytes(self) -> int:
        """How much has arrived of the body, and was not read."""
        return len(self.cycle.body)

    @property
    def more_body(self) -> bool:
        """Whether the body goes on."""
        return self.cycle.more_body

    @property
    def gone(self) -> bool:
        """Whether the client has closed the connection."""
        return self.cycle.disconnected

    @property
    def answer_begun(self) -> bool:
        """Whether a status line was written."""
        return self.cycle.response_started

    def start(self, shortcut: Shortcut) -> None:
        """Serve the request, the short way if it is possible."""
        cycle = self.cycle
        if not cycle.more_body and len(cycle.body) <= MAX_PART_BYTES and not cycle.disconnected:
            serving = shortcut.take_short_way(cast(Scope, cycle.scope), self)
            if serving is not None:
                self._connection.serving = serving
                return
        self.start_task()

    def start_task(self) -> None:
        """Serve the request, or go on with it, as uvicorn does."""
        self._connection.serving = self._connection.loop.create_task(self.cycle.run_asgi(self._app))

    def served(self, by: Serving | None) -> None:
        """Nothing of this request is left to cancel when the client goes."""
        if self._connection.serving is by:
            self._connection.serving = None

    def answer(self, status: int, headers: Headers, body: bytes) -> bool:
        """Write a whole answer at once; False if it has to go through ``send``.

        The same as ASGI's two messages through uvicorn, in one write. Not for HEAD, nor without Content-Length.
        """
        cycle = self.cycle
        line = STATUS_LINE.get(status)
        if (
            line is None
            or cycle.response_started
            or cycle.disconnected
            or cycle.flow.write_paused
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        found = self._head(line, headers)
        if found is None or found[1] != len(body):
            return False
        cycle.response_started = True
        cycle.transport.write(b"".join((found[0], body)))
        self._complete()
        return True

    def answer_known(self, head: KnownHead, extra: Headers, body: bytes) -> bool:
        """As `answer`, for a head that is put together already, to which ``extra`` headers are added."""
        cycle = self.cycle
        if (
            head.length != len(body)
            or cycle.response_started
            or cycle.disconnected
            or cycle.flow.write_paused
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        content = [head.line]
        for name, value in cycle.default_headers:
            content += (name, b": ", value, b"\r\n")
        content.append(head.block)
        for name, value in extra:
            if name == b"connection":
                return False
            # What they hold was parsed, or is ours: no line ends in it.
            content += (name, b": ", value, b"\r\n")
        content += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
        cycle.response_started = True
        cycle.transport.write(b"".join(content))
        self._complete()
        return True

    async def begin(self, status: int, headers: Headers, pieces: list[bytes], *, more: bool) -> None:
        """Write a status line and headers, with what there is of the body; `go_on` follows if there is ``more``."""
        cycle = self.cycle
        line = STATUS_LINE.get(status)
        if not pieces or line is None or cycle.response_started or cycle.scope["method"] == "HEAD":
            found = None
        else:
            found = self._head(line, headers)
        if found is None or found[1] < 0:
            await cycle.send({"type": "http.response.start", "status": status, "headers": headers})
        else:
            cycle.response_started = True
            cycle.waiting_for_100_continue = False
            cycle.chunked_encoding, cycle.expected_content_length = False, found[1]
            self._head_waits = found[0]
        if pieces or not more:
            await self.go_on(pieces, more=more)

    async def go_on(self, pieces: list[bytes], *, more: bool) -> None:
        """Write pieces of the body; waits first while the client reads slowly. Nothing happens once it has gone."""
        cycle = self.cycle
        size = sum(map(len, pieces))
        left = cycle.expected_content_length - size
        if (
            cycle.chunked_encoding is not False
            or cycle.response_complete
            or cycle.scope["method"] == "HEAD"
            or left < 0
            or (left and not more)
        ):
            if self._head_waits:
                cycle.transport.write(self._head_waits)
                self._head_waits = b""
            if len(pieces) > 1 and cycle.chunked_encoding and cycle.scope["method"] != "HEAD":
                await self._chunks(pieces, more=more)
                return
            # Uvicorn knows how to frame it, or what is wrong with it.
            await cycle.send({"type": "http.response.body", "body": b"".join(pieces), "more_body": more})
            return
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        cycle.expected_content_length = left
        if self._head_waits:
            pieces = [self._head_waits, *pieces]
            size += len(self._head_waits)
            self._head_waits = b""
        if size:
            write(cycle.transport, pieces, size)
        if not more:
            self._complete()

    async def _chunks(self, pieces: list[bytes], *, more: bool) -> None:
        """Write each piece as a chunk of its own, all at once: clients take a chunk for an item (RFC 9112, 7.1)."""
        cycle = self.cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected or cycle.response_complete:
            return
        content = [part for piece in pieces if piece for part in (b"%x\r\n" % len(piece), piece, b"\r\n")]
        if not more:
            content.append(b"0\r\n\r\n")
        cycle.transport.write(b"".join(content))
        if not more:
            self._complete()

    async def read(self) -> tuple[list[bytes], bool] | None:
        """Wait for more of the body; return its pieces and whether it goes on, or None if the client has gone."""
        cycle = self.cycle
        if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
            cycle.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        if not cycle.disconnected and not cycle.response_complete:
            cycle.flow.resume_reading()
            await cycle.message_event.wait()
            cycle.message_event.clear()
        if cycle.disconnected or cycle.response_complete:
            return None
        body, cycle.body = cast(bytearray | Pieces, cycle.body), bytearray()
        return body.taken() if isinstance(body, Pieces) else [bytes(body)], cycle.more_body

    def _head(self, line: bytes, headers: Headers) -> tuple[bytes, int] | None:
        """Return the head of an answer and its Content-Length, -1 without one; None if uvicorn has to write it."""
        cycle = self.cycle
        lines = cycle.default_headers + headers
        content = [line]
        length = -1
        for name, value in lines:
            if name == b"content-length":
                length = int(value) if value.isdigit() and len(value) < 20 else -1
            elif name == b"connection":
                return None
            content += (name, b": ", value, b"\r\n")
        block = b"".join(content)
        # A header with a line break in it would make one line more: that is for uvicorn to refuse.
        if not block.count(b"\n") == block.count(b"\r") == len(lines) + 1:
            return None
        return block + (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"), length

    def _complete(self) -> None:
        cycle = self.cycle
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def cut(self) -> None:
        """Close the connection in the middle of an answer, so that the client sees that it is incomplete."""
        self.cycle.disconnected = True
        self.cycle.transport.close()
