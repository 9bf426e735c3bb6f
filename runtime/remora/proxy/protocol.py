"""Uvicorn's HTTP/1.1 protocol, with what a proxy needs of its client's connection beyond ASGI.

To know when a whole request is there, to answer it in one write, and to hear at once when the client goes.
"""

from __future__ import annotations

import sys
from typing import Any, Final, Protocol, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from remora.proxy import upgrade
from remora.transport.frames import MAX_HEAD_BYTES, MAX_PART_BYTES
from remora.transport.messages import Headers
from remora.types import Scope

CLIENT: Final = "remora.client"
"""Key of the `Client` in the scope."""

MAX_INCOMPLETE_HEAD_BYTES: Final = 2 * MAX_HEAD_BYTES
TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


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


class Client:
    """The client's side of one request."""

    __slots__ = ("_app", "_cycle", "_protocol")

    def __init__(self, protocol: ProxyProtocol, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._protocol = protocol
        self._cycle = cycle
        self._app = app

    @property
    def body(self) -> bytes:
        """What has arrived of the body."""
        return bytes(self._cycle.body)

    @property
    def more_body(self) -> bool:
        """Whether the body goes on."""
        return self._cycle.more_body

    @property
    def gone(self) -> bool:
        """Whether the client has closed the connection."""
        return self._cycle.disconnected

    @property
    def answer_begun(self) -> bool:
        """Whether a status line was written."""
        return self._cycle.response_started

    def start(self, shortcut: Shortcut) -> None:
        """Serve the request, the short way if it is possible."""
        cycle = self._cycle
        if not cycle.more_body and len(cycle.body) <= MAX_PART_BYTES and not cycle.disconnected:
            serving = shortcut.take_short_way(cast(Scope, cycle.scope), self)
            if serving is not None:
                self._protocol.serving = serving
                return
        self.start_task()

    def start_task(self) -> None:
        """Serve the request, or go on with it, as uvicorn does."""
        self._protocol.serving = self._protocol.loop.create_task(self._cycle.run_asgi(self._app))

    def served(self, by: Serving | None) -> None:
        """Nothing of this request is left to cancel when the client goes."""
        if self._protocol.serving is by:
            self._protocol.serving = None

    def answer(self, status: int, headers: Headers, body: bytes) -> bool:
        """Write a whole answer at once; False if it has to go through ``send``.

        The same as ASGI's two messages through uvicorn, in one write. Not for HEAD, nor without Content-Length.
        """
        cycle = self._cycle
        line = STATUS_LINE.get(status)
        if (
            line is None
            or cycle.response_started
            or cycle.disconnected
            or cycle.flow.write_paused
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        lines = cycle.default_headers + headers
        content = [line]
        length = -1
        for name, value in lines:
            if name == b"content-length":
                length = int(value) if value.isdigit() and len(value) < 20 else -1
            elif name == b"connection":
                return False
            content += (name, b": ", value, b"\r\n")
        if length != len(body):
            return False
        block = b"".join(content)
        # A header with a line break in it would make one line more: that is for uvicorn to refuse.
        if not block.count(b"\n") == block.count(b"\r") == len(lines) + 1:
            return False
        if not cycle.keep_alive:
            block += b"connection: close\r\n"
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(b"".join((block, b"\r\n", body)))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True

    def cut(self) -> None:
        """Close the connection in the middle of an answer, so that the client sees that it is incomplete."""
        self._cycle.disconnected = True
        self._protocol.transport.close()


class ProxyProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(self, *args: Any, shortcut: Shortcut) -> None:
        super().__init__(*args)
        self.serving: Serving | None = None
        """The request under way: cancelled when the client goes."""
        self._shortcut = shortcut
        self._starting: Client | None = None
        self._feeding = False
        self._head_bytes = 0
        self._framing = b""
        self._ignored_at: int | None = None
        """Where an upgrade that is ignored would have begun, in what was received last."""

    def data_received(self, data: bytes) -> None:
        self._feeding = True
        super().data_received(data)
        while self._ignored_at is not None:
            data = self._ignore_upgrade(data[self._ignored_at :])
        self._feeding = False
        self._start()
        # Uvicorn's annotation leaves out that there is none before the first byte.
        scope = cast(Scope | None, self.scope)
        if scope is not None and "method" not in scope:
            self._limit_head(len(data))
        elif self._head_bytes:
            self._head_bytes = 0

    def _limit_head(self, size: int) -> None:
        """Let no head grow for ever: of one that is not complete, ``size`` bytes more have come."""
        self._head_bytes += size
        if self._head_bytes > MAX_INCOMPLETE_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def on_chunk_header(self) -> None:
        """A chunk begins. What comes after the last one are trailers: they are no headers (RFC 9110, 6.5.1)."""
        self.headers = []

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._starting = Client(self, cycle, app)
        cast(Scope, cycle.scope)[CLIENT] = self._starting
        # While a read is parsed, the body may follow at once.
        if not self._feeding:
            self._start()

    def _should_upgrade(self) -> bool:
        """Return whether the request, which offers an upgrade, becomes a WebSocket."""
        wanted = super()._should_upgrade()
        self._framing = b"" if wanted else upgrade.framing(self.headers)
        return wanted

    def _unsupported_upgrade_warning(self) -> None:
        """Uvicorn has caught `HttpParserUpgrade`, which says how much was parsed."""
        error = sys.exc_info()[1]
        assert isinstance(error, httptools.HttpParserUpgrade)
        self._ignored_at = int(error.args[0])

    def _ignore_upgrade(self, rest: bytes) -> bytes:
        """Parse what the parser took for another protocol, and return it."""
        self._ignored_at = None
        if self._framing:
            rest, self._framing = self._framing + rest, b""
            self.parser = upgrade.resumed(self)
        if rest:
            super().data_received(rest)
        return rest

    def on_message_complete(self) -> None:
        if self._framing:
            return  # It is only the head that is complete.
        super().on_message_complete()
        self._start()

    def _start(self) -> None:
        client, self._starting = self._starting, None
        if client is not None and not self.transport.is_closing():
            client.start(self._shortcut)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.serving is not None:
            self.serving.cancel()
