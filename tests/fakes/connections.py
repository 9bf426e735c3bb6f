"""A client's connection at the proxy without sockets: a transport, a loop and a server that keep what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from remora.proxy.client import CLIENT, Client
from remora.proxy.known_requests import KnownRequests
from remora.proxy.protocol import ProxyProtocol
from remora.proxy.refusals import Refusals
from remora.proxy.visit import SAID
from remora.types import Scope


class Socket(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self._paused = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def is_paused(self) -> bool:
        return self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False


class Loop:
    """What a protocol asks of its loop."""

    def create_task(self, running: Coroutine[Any, Any, None]) -> None:
        running.close()

    def call_later(self, _: float, __: Callable[[], None]) -> asyncio.TimerHandle | None:
        return None


class Server:
    """Takes down what requests look like, and answers them at once."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def cancel(self) -> None:
        """The client has gone."""

    def take_short_way(self, scope: Scope, client: Client) -> Server:
        of_all = {key: value for key, value in scope.items() if key not in (CLIENT, SAID)}
        self.seen.append((of_all, client.body, client.more_body, client.cycle.keep_alive))
        client.answer(200, [(b"content-length", b"0")], b"")
        return self


def connected(server: Server, socket: Socket, known: KnownRequests, refusals: Refusals) -> ProxyProtocol:
    """Return what reads a connection that has just come."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("requests are whole, and go the short way")

    config = Config(app, loop="none", lifespan="off", log_config=None, root_path="/root")
    protocol = ProxyProtocol(config, ServerState(), {}, Loop(), shortcut=server, known=known, refusals=refusals)
    protocol.connection_made(socket)
    return protocol
