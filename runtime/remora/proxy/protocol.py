"""Uvicorn's HTTP/1.1 protocol, with the three things a proxy needs of its client's connection beyond ASGI.

Whether the body is there already, whether an answer has begun, and to hear at once when the client goes.
"""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from remora.transport.messages import Headers
from remora.types import Scope

CLIENT = "remora.client"
"""Key of the `Client` in the scope."""


class Client:
    """The client's side of one request."""

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: ProxyProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle

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

    def served(self) -> None:
        """Nothing is left to cancel when the client goes."""
        self._protocol.serving = None

    def answer(self, status: int, headers: Headers, body: bytes) -> bool:
        """Write a whole answer at once; False if it has to go through ``send``.

        The same as ASGI's two messages through uvicorn, in one write. Not for HEAD, nor without Content-Length.
        """
        cycle = self._cycle
        if cycle.response_started or cycle.disconnected or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
            return False
        lines = [*cycle.default_headers, *headers]
        content = [STATUS_LINE[status]]
        length = -1
        for name, value in lines:
            if name == b"content-length":
                length = int(value) if value.isdigit() else -1
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

    serving: asyncio.Task[None] | None = None
    """The request under way: cancelled when the client goes."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.serving = self.loop.create_task(cycle.run_asgi(app))

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        scope = cast(Scope, self.scope)
        scope[CLIENT] = Client(self, self.cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.serving is not None:
            self.serving.cancel()
