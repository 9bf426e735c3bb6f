"""The proxy process: its two ports, and how it leaves without resetting anyone.

    SERVING ─SIGTERM─▶ LAME ─lame_s─▶ CLOSING ─quiet or drain_s─▶ GONE

LAME: not ready, but serving as ever, until nobody is sent here any more. CLOSING: every answer says
``Connection: close``; a connection that is idle stays open for one more request, since a client may be just sending.
A WebSocket is closed with 1012 when nothing went either way for ``quiet_s``, and at the end.
(Uvicorn's own shutdown closes idle connections at once, which resets that client.)
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Callable
from email.utils import formatdate
from enum import StrEnum
from functools import partial
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from remora import cpus
from remora.proxy.access_log import AccessLog
from remora.proxy.admin import admin
from remora.proxy.app import ProxyApp
from remora.proxy.busy_poll import BusyPoll
from remora.proxy.holding import Holding
from remora.proxy.known_requests import KnownRequests
from remora.proxy.metrics import Metrics
from remora.proxy.protocol import ProxyProtocol
from remora.proxy.routes import normalized
from remora.proxy.routing import CurrentRouting
from remora.proxy.settings import Settings
from remora.proxy.socket import ProxySocket
from remora.router.router import Router
from remora.types import ASGIApp

if TYPE_CHECKING:
    import ssl

    from remora.proxy.rpc import GrpcServer
    from remora.proxy.tls import Certificate
    from remora.proxy.tracing import ProxyTracing
    from remora.tracing.tracer import Tracer

logger = logging.getLogger(__name__)

BACKLOG: Final = 2048
DATE_S: Final = 1.0
CHECK_S: Final = 0.1
POLLING_CPUS: Final = 2.0
"""With fewer, whoever polls takes them from whom it waits for, or uses its container's share up."""


class Phase(StrEnum):
    """Where the proxy is in its life."""

    SERVING = "serving"
    LAME = "lame"
    CLOSING = "closing"
    GONE = "gone"


class ProxyServer:
    """`start`, then `drain` (on SIGTERM), then `stop`. ``port`` and ``admin_port`` are the bound ones."""

    def __init__(
        self,
        settings: Settings,
        *,
        write: Callable[[bytes], object],
        wall_clock: Callable[[], float],
        clock: Callable[[], float] = monotonic,
        tracer: Tracer | None = None,
    ) -> None:
        self._rng = rng = Random()
        self._clock = clock
        self.phase = Phase.SERVING
        self.port = settings.port
        self.admin_port = settings.admin_port
        self._settings = settings
        self.router = Router(settings.data_key, rng=rng, hold_s=settings.hold_s)
        self._root_path = normalized(settings.root_path)
        self.routing = CurrentRouting(self.router, rng, self._root_path)
        self.metrics = Metrics()
        self._access_log = AccessLog(write, wall_clock, clock) if settings.access_log else None
        self.holding = Holding(self.routing, self.router, clock, f"{rng.getrandbits(64):016x}")
        self._tracer = tracer
        self._tracing = _tracing(self._tracer)
        self._app = ProxyApp(
            self.routing,
            self.metrics,
            self.holding,
            rng=rng,
            access_log=self._access_log,
            clock=clock,
            not_ready=self._not_ready,
            root_path=self._root_path,
            tracing=self._tracing,
        )
        self.routing.on_revisions = self._app.figures.keep
        self._admin = admin(
            self.routing,
            self.metrics,
            self.holding,
            self._app.figures,
            key=settings.proxy_key,
            not_ready=self._not_ready,
            clock=clock,
        )
        self._state = ServerState()
        self._listening: list[asyncio.Server] = []
        self.grpc_port = settings.grpc_port
        self._grpc: GrpcServer | None = None
        self._certificate = _certificate(settings)
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._wall_clock = wall_clock
        self._dating: asyncio.TimerHandle | None = None

    def _not_ready(self) -> str | None:
        if self.phase is not Phase.SERVING:
            return f"{self.phase.value}: this proxy is about to exit"
        if not self.routing.known:
            return "no routing yet: neither pushed by the operator nor read from the file"
        return None

    async def start(self) -> None:
        """Listen on both ports."""
        settings = self._settings
        if settings.routing_file is not None:
            self.routing.read(settings.routing_file)
            self._watching = asyncio.create_task(self.routing.watch(settings.routing_file))
        if settings.busy_poll_us > 0 and cpus.available() >= POLLING_CPUS:
            window_s = settings.busy_poll_us / 1e6
            poll = BusyPoll(asyncio.get_running_loop(), window_s, clock=monotonic, let_others=cpus.let_others)
            self._app.heard = poll.heard
        public = await self._listen(
            self._app,
            partial(
                ProxyProtocol,
                shortcut=self._app,
                known=KnownRequests(),
                refusals=self._app.refusals,
                heard=self._app.heard,
            ),
            self._state,
            settings.host,
            settings.port,
            self._root_path,
            self._certificate.context if self._certificate is not None else None,
        )
        where = socket.socket(fileno=settings.admin_fd) if settings.admin_fd is not None else settings.admin_port
        private = await self._listen(cast(ASGIApp, self._admin), HttpToolsProtocol, ServerState(), settings.host, where)
        self.port, self.admin_port = (server.sockets[0].getsockname()[1] for server in (public, private))
        self._listening = [public, private]
        self._looking = asyncio.create_task(self.holding.watch())
        if self._certificate is not None:
            self._reading = asyncio.create_task(self._certificate.watch())
        self._write_date()
        if settings.grpc_port is not None:
            self._grpc = self._grpc_server()
            pair = self._certificate.pair if self._certificate is not None and settings.grpc_tls else None
            self.grpc_port = await self._grpc.start(settings.host, settings.grpc_port, pair)
        logger.info("serving on port %d, admin on port %d", self.port, self.admin_port)

    async def drain(self) -> None:
        """Leave: returns when nothing is under way, or at the deadline."""
        loop = asyncio.get_running_loop()
        self.phase = Phase.LAME
        logger.info("draining: serving for %g s more while the endpoint disappears", self._settings.lame_s)
        await asyncio.sleep(self._settings.lame_s)
        self.phase = Phase.CLOSING
        self._app.closing = True
        deadline = loop.time() + self._settings.drain_s
        rpcs = asyncio.ensure_future(self._grpc.stop(self._settings.drain_s)) if self._grpc is not None else None
        quiet_since = loop.time()
        seen = self._state.total_requests
        while (self._state.connections or (rpcs and not rpcs.done())) and loop.time() < deadline:
            self._close_sockets(untouched_since=loop.time() - self._settings.quiet_s)
            if self.metrics.ongoing or self._state.total_requests != seen:
                seen, quiet_since = self._state.total_requests, loop.time()
            elif loop.time() - quiet_since >= self._settings.quiet_s:
                break
            await asyncio.sleep(CHECK_S)
        if self.metrics.ongoing:
            logger.warning("%d requests are cut at the drain deadline", self.metrics.ongoing)

    async def stop(self) -> None:
        """Close everything now."""
        self.phase = Phase.GONE
        for server in self._listening:
            server.close()
        self._close_sockets()
        if self._grpc is not None:
            await self._grpc.stop(0)
        for connection in list(self._state.connections):
            connection.transport.close()
        for task in (self._watching, self._looking, self._reading):
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
        if self._dating is not None:
            self._dating.cancel()
        await self._app.mirroring.close()
        await self.router.close()
        if self._access_log is not None:
            await self._access_log.close()
        if self._tracer is not None:
            await self._tracer.close()

    def _grpc_server(self) -> GrpcServer:
        # Half a second and some megabytes that proxies without gRPC do not spend.
        from remora.proxy.rpc import GrpcServer

        return GrpcServer(
            self.routing,
            self.metrics,
            self.holding,
            rng=self._rng,
            access_log=self._access_log,
            clock=self._clock,
            not_ready=self._not_ready,
            tracing=self._tracing,
        )

    def _close_sockets(self, untouched_since: float = math.inf) -> None:
        """Close WebSockets with 1012, which asks their clients to connect again: that leads to another proxy."""
        for connection in list(self._state.connections):
            if isinstance(connection, ProxySocket) and connection.touched <= untouched_since:
                connection.shutdown()

    async def _listen(
        self,
        app: ASGIApp,
        protocol: Callable[..., HttpToolsProtocol],
        state: ServerState,
        host: str,
        port: int | socket.socket,
        root_path: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> asyncio.Server:
        config = Config(
            app,
            loop="none",
            ws=ProxySocket,
            ws_max_size=self._settings.max_message_bytes,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            root_path=root_path,
            timeout_keep_alive=self._settings.keep_alive_s,
        )
        config.load()
        loop = asyncio.get_running_loop()
        if isinstance(port, socket.socket):
            return await loop.create_server(lambda: protocol(config, state, {}), sock=port, backlog=BACKLOG)
        return await loop.create_server(lambda: protocol(config, state, {}), host, port, backlog=BACKLOG, ssl=tls)

    def _write_date(self) -> None:
        """Put the second's date into all answers. Uvicorn's server would do this; only its protocol is used here."""
        self._state.default_headers = [(b"date", formatdate(self._wall_clock(), usegmt=True).encode())]
        self._dating = asyncio.get_running_loop().call_later(DATE_S, self._write_date)


def _certificate(settings: Settings) -> Certificate | None:
    """Return the certificate of the public port, None for a port without TLS; raise BadCertificate."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    # Proxies without TLS do not load OpenSSL.
    from remora.proxy.tls import Certificate, Files

    return Certificate(
        Files(settings.tls_certificate, settings.tls_key, settings.tls_password, settings.tls_authorities)
    )


def _tracing(tracer: Tracer | None) -> ProxyTracing | None:
    if tracer is None:
        return None
    from remora.proxy.tracing import ProxyTracing

    return ProxyTracing(tracer)
