"""Uvicorn's HTTP/1.1 protocol, with what a proxy needs of its client's connection beyond ASGI.

To know when a whole request is there, to pass bodies on as they came, and to hear at once when the client goes.
"""

from __future__ import annotations

import sys
from typing import Any, Final, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from remora.proxy import upgrade
from remora.proxy.client import CLIENT, Client, Serving, Shortcut
from remora.proxy.pieces import Pieces
from remora.transport.frames import MAX_HEAD_BYTES
from remora.types import Scope

MAX_INCOMPLETE_HEAD_BYTES: Final = 2 * MAX_HEAD_BYTES
TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


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

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body as it came, and stop reading while much of it waits."""
        # Uvicorn's annotation leaves out that there is none before the first request.
        cycle = cast(RequestResponseCycle | None, self.cycle)
        if cycle is not None and not cycle.body:
            cycle.body = cast(bytearray, Pieces())
        super().on_body(body)

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
