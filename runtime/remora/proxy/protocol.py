"""Uvicorn's HTTP/1.1 protocol, with what a proxy needs of its client's connection beyond ASGI.

To know when a whole request is there, to pass bodies on as they came, and to hear at once when the client goes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final, cast

import httptools
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from remora.proxy import upgrade
from remora.proxy.busy_poll import nothing
from remora.proxy.client import CLIENT, Client, Serving, Shortcut
from remora.proxy.known_requests import Block, KnownRequests, Line
from remora.proxy.pieces import Pieces
from remora.proxy.refusals import Refusals
from remora.proxy.visit import SAID
from remora.transport.frames import MAX_HEAD_BYTES
from remora.transport.messages import Headers
from remora.types import Scope

MAX_INCOMPLETE_HEAD_BYTES: Final = 2 * MAX_HEAD_BYTES
MIN_UNPARSED_BYTES: Final = 64 * 1024
"""Of the rest of a body, from where on it is worth a parser for what follows it."""
MAX_UNREAD: Final = 4
"""Pieces, of up to 256 KiB each, that a connection may send while it stands in the line."""
TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class ProxyProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(
        self,
        *args: Any,
        shortcut: Shortcut,
        known: KnownRequests,
        refusals: Refusals,
        heard: Callable[[], None] = nothing,
    ) -> None:
        super().__init__(*args)
        self._heard = heard
        self._refusals = refusals
        self._unread: list[bytes] = []
        """What has come while it stands in the line of `refusals`."""
        self.serving: Serving | None = None
        """The request under way: cancelled when the client goes."""
        self._shortcut = shortcut
        self._known = known
        self._starting: Client | None = None
        self._feeding = False
        self._head_bytes = 0
        self._framing = b""
        self._ignored_at: int | None = None
        """Where an upgrade that is ignored would have begun, in what was received last."""
        self._unparsed_bytes = 0
        """What is still to come of a body that goes past the parser."""

    def data_received(self, data: bytes) -> None:
        self._heard()
        if self._refusals.line and self._stands_in_line(data):
            return
        if self._unparsed_bytes:
            data = self._take_body(data)
            if not data:
                return
        # Uvicorn's annotation leaves out that there is none before the first request.
        before = cast(RequestResponseCycle | None, self.cycle)
        between = not self._head_bytes and (before is None or (before.response_complete and not before.more_body))
        if between and (found := self._known.take(data)) is not None:
            self._begin(*found)
            return
        self._feeding = True
        super().data_received(data)
        while self._ignored_at is not None:
            between = False
            data = self._ignore_upgrade(data[self._ignored_at :])
        self._feeding = False
        self._start()
        scope = cast(Scope | None, self.scope)
        if scope is not None and "method" not in scope:
            self._limit_head(len(data))
            return
        self._head_bytes = 0
        if between:
            self._learn(data, before)

    def _stands_in_line(self, data: bytes) -> bool:
        """Keep for later what begins a request while others wait to be refused; tell whether that was done."""
        if not self._unread:
            cycle = cast(RequestResponseCycle | None, self.cycle)
            begun = self._head_bytes or (cycle is not None and (cycle.more_body or not cycle.response_complete))
            if begun or self._refusals.reading:
                return False
            self._unset_keepalive_if_required()
            self._refusals.put_off(self)
        self._unread.append(data)
        if len(self._unread) > MAX_UNREAD:
            self.flow.pause_reading()
        return True

    def read_on(self) -> None:
        """Read what has come while it stood in the line."""
        data = b"".join(self._unread)
        self._unread.clear()
        if data and not self.transport.is_closing():
            self.flow.resume_reading()
            self.data_received(data)

    def _begin(self, line: Line, block: Block, body: bytes) -> None:
        """Do what uvicorn does while the parser goes through a whole request, for one whose head is known."""
        self._unset_keepalive_if_required()
        root = self.root_path
        scope: Scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": root,
            "headers": block.headers,
            "state": self.app_state.copy(),
            "method": line.method,
            "path": root + line.path,
            "raw_path": root.encode("ascii") + line.raw_path,
            "query_string": line.query,
            SAID: block.said,
        }
        self.scope = cast(HTTPScope, scope)
        self.headers = block.headers
        cycle = self.cycle = RequestResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=self.on_response_complete,
        )
        if body:
            cycle.body = cast(bytearray, body)
        cycle.more_body = False
        cycle.message_event.set()
        client = scope[CLIENT] = Client(self, cycle, self.app)
        if not self.transport.is_closing():
            client.start(self._shortcut)

    def _learn(self, data: bytes, before: RequestResponseCycle | None) -> None:
        """Keep the head of what was received, if it was one request, and whole."""
        cycle = cast(RequestResponseCycle | None, self.cycle)
        if cycle is not None and cycle is not before and not cycle.more_body:
            self._known.learn(data, cast(Headers, cycle.scope["headers"]))

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

    def _pass_parser_by(self, cycle: RequestResponseCycle) -> None:
        """Let the rest of a long body whose length is known not be copied by the parser, which has it before it."""
        if cycle is not self.cycle or not cycle.more_body:
            return
        length = next((value for name, value in cycle.scope["headers"] if name == b"content-length"), b"0")
        left = int(length) - len(cycle.body)
        if left >= MIN_UNPARSED_BYTES:
            self._unparsed_bytes = left

    def _take_body(self, data: bytes) -> bytes:
        """Take what belongs to the body, and return what follows it."""
        self._unset_keepalive_if_required()
        body, rest = data, b""
        if len(data) > self._unparsed_bytes:
            body, rest = data[: self._unparsed_bytes], data[self._unparsed_bytes :]
        self._unparsed_bytes -= len(body)
        self.on_body(body)
        if not self._unparsed_bytes:
            self.on_message_complete()
            # The other one still waits for the rest of the body.
            self.parser = upgrade.parser(self)
        return rest

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
            self._pass_parser_by(client.cycle)
            client.start(self._shortcut)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.serving is not None:
            self.serving.cancel()
