"""Uvicorn's HTTP/1.1 protocol, with the three things a proxy needs of its client's connection beyond ASGI.

Whether the body is there already, whether an answer has begun, and to hear at once when the client goes.
"""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

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

    def hold(self, task: asyncio.Task[None] | None) -> None:
        """Have ``task`` cancelled when the client goes; None ends that."""
        self._protocol.serving = task

    def cut(self) -> None:
        """Close the connection in the middle of an answer, so that the client sees that it is incomplete."""
        self._cycle.disconnected = True
        self._protocol.transport.close()


class ProxyProtocol(HttpToolsProtocol):
    """One client connection."""

    serving: asyncio.Task[None] | None = None

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        scope = cast(Scope, self.scope)
        scope[CLIENT] = Client(self, self.cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.serving is not None:
            self.serving.cancel()
