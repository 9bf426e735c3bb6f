"""The proxy's ASGI application: finds the application of a path and forwards; says in short JSON why it cannot.

First step of a request: `app → routes → router.forward → transport → replica`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

import msgspec

from remora.errors import BackPressureError, DeploymentUnavailable, ProtocolError, RemoraError, ReplicaUnavailableError
from remora.proxy.access_log import AccessLog, Line
from remora.proxy.metrics import Metrics
from remora.proxy.protocol import CLIENT, Client
from remora.proxy.routing import CurrentRouting
from remora.proxy.short_way import ShortWay
from remora.proxy.visit import Visit, read
from remora.router.forward import ApplicationFailed, Opened, forward
from remora.router.socket import ABNORMAL, Carried, ClientGone, carry, refuse
from remora.transport.frames import END, MAX_PART_BYTES, REQUEST
from remora.transport.messages import Headers, HeadTooLarge, pack
from remora.types import Receive, Scope, Send
from remora_api.wire import ApplicationRouting

logger = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 1
CLIENT_GONE: Final = 499
WEBSOCKET: Final = "WEBSOCKET"
"""In the place of a method, in the access log."""
OPENED: Final = "remora.opened"
"""Key in the scope of the `ShortWay` that did not end."""


class ProxyApp:
    """Serves every request of this process."""

    def __init__(
        self,
        routing: CurrentRouting,
        metrics: Metrics,
        *,
        rng: Random,
        access_log: AccessLog | None = None,
        clock: Callable[[], float],
    ) -> None:
        self.closing = False
        """Every answer asks its client to come back on another connection, which leads to another proxy."""
        self._routing = routing
        self._metrics = metrics
        self._rng = rng
        self._access_log = access_log
        self._clock = clock

    def take_short_way(self, scope: Scope, client: Client) -> ShortWay | None:
        """Begin to serve a whole request without a task, if a replica has room."""
        found = self._routing.table.match(scope["path"])
        if found is None or scope["path"].startswith("/-/"):
            return None
        pool = self._routing.pool(found[1])
        if pool is None:
            return None
        visit = self._read(scope, found)
        link = pool.try_acquire(visit.wanted)
        if link is None:
            return None
        try:
            payload = pack(visit.head(visit.timeout_s), client.body)
        except HeadTooLarge:
            link.release()
            return None
        stream = link.open(REQUEST | END, payload)
        if stream is None:
            link.release()
            return None
        self._metrics.begin(visit.name)
        short_way = scope[OPENED] = ShortWay(visit, client, link, stream, self._record)
        return short_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket, or go on where the short way stopped."""
        if scope["type"] != "http":
            await self._converse(scope, receive, send)
            return
        short_way: ShortWay | None = scope.get(OPENED)
        if short_way is None:
            visit = self._read(scope, self._routing.table.match(scope["path"]))
            opened = None
            self._metrics.begin(visit.name)
        else:
            visit, opened = short_way.visit, short_way.opened
        status, error = CLIENT_GONE, None
        try:
            status, error = await self._serve(visit, receive, send, opened)
        finally:
            self._record(visit, status, error)

    def _read(self, scope: Scope, found: tuple[str, ApplicationRouting] | None) -> Visit:
        return read(scope, found, begun=self._clock(), rng=self._rng, closing=self.closing)

    def _record(self, visit: Visit, status: int, error: str | None) -> None:
        ended = self._clock()
        name, scope, duration_s = visit.name, visit.scope, ended - visit.begun
        # What refers to each other in a ring would wait for the garbage collector, a fifth of the proxy's work.
        scope.pop(CLIENT, None)
        scope.pop(OPENED, None)
        self._metrics.end(name, status, duration_s)
        if self._access_log is None:
            return
        client = scope["client"][0] if scope["client"] else ""
        milliseconds = round(duration_s * 1000, 3)
        method = scope.get("method", WEBSOCKET)
        self._access_log.add(
            Line(ended, name, method, scope["path"], status, milliseconds, client, visit.request_id, error)
        )

    async def _serve(self, visit: Visit, receive: Receive, send: Send, opened: Opened | None) -> tuple[int, str | None]:
        """Answer, and return the status and what went wrong."""
        path = visit.scope["path"]
        if path.startswith("/-/") and await self._own(path, send, visit.extra):
            return 200, None
        application = visit.application
        if application is None:
            return await _refuse(send, 404, _nowhere(path), visit.extra)
        client: Client = visit.scope[CLIENT]
        left_s = None if visit.timeout_s is None else visit.timeout_s - (self._clock() - visit.begun)
        try:
            async with asyncio.timeout(left_s):
                return await self._forward(visit, application, left_s, receive, send, opened), None
        except asyncio.CancelledError:
            if not client.gone:
                raise
            return CLIENT_GONE, "the client went away"  # The task ends here, and its owner asks for no more.
        except TimeoutError:
            refusal = (408, f"no answer within {visit.timeout_s:g} s")
        except RemoraError as error:
            refusal = _status(error), str(error)
        finally:
            client.served(asyncio.current_task())
        if client.gone:
            return CLIENT_GONE, "the client went away"
        if client.answer_begun:
            client.cut()
            return refusal
        return await _refuse(send, *refusal, visit.extra, application.application)

    async def _forward(
        self,
        visit: Visit,
        application: ApplicationRouting,
        left_s: float | None,
        receive: Receive,
        send: Send,
        opened: Opened | None,
    ) -> int:
        pool = self._routing.pool(application)
        if pool is None:
            raise DeploymentUnavailable(f"application {application.application!r} is not ready")
        client: Client = visit.scope[CLIENT]
        part, rest = client.body, None
        if client.more_body or len(part) > MAX_PART_BYTES:
            # What has come is taken by `receive` like the rest, so that reading goes on as it is consumed.
            part, rest = b"", receive
        return await forward(
            pool, visit.head(left_s), part, rest, send, visit.extra, client.answer, opened, visit.wanted
        )

    async def _converse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket; its status is the close code, or that of the refusal."""
        visit = self._read(scope, self._routing.table.match(scope["path"]))
        self._metrics.begin(visit.name)
        ended = Carried(ABNORMAL)
        try:
            await receive()  # websocket.connect
            ended = await self._carry(visit, receive, send)
        finally:
            self._record(visit, *ended)

    async def _carry(self, visit: Visit, receive: Receive, send: Send) -> Carried:
        application = visit.application
        timeout_s = visit.timeout_s
        try:
            pool = self._routing.pool(application) if application is not None else None
            if application is None:
                refusal = (404, _nowhere(visit.scope["path"]))
            elif pool is None:
                refusal = (503, f"application {application.application!r} is not ready")
            else:
                async with asyncio.timeout(timeout_s) as handshake:
                    head, accepted = visit.socket_head(None), partial(handshake.reschedule, None)
                    return await carry(pool, head, receive, send, visit.extra, accepted, visit.wanted)
        except TimeoutError:
            refusal = (408, f"no answer within {timeout_s:g} s")
        except ClientGone as error:
            return Carried(CLIENT_GONE, str(error))
        except RemoraError as error:
            refusal = _status(error), str(error)
        status, reason = refusal
        headers, body = _refusal(status, reason, visit.extra, visit.name or None)
        await refuse(send, status, body, headers)
        return Carried(status, reason)

    async def _own(self, path: str, send: Send, extra: Headers) -> bool:
        """Answer Ray Serve's own paths; return False for others."""
        if path == "/-/healthz":
            await _answer(send, 200, b"success", b"text/plain", extra)
        elif path == "/-/routes":
            table = {app.route_prefix: app.application for app in self._routing.table.applications}
            await _answer(send, 200, msgspec.json.encode(table), b"application/json", extra)
        else:
            return False
        return True


def _status(error: RemoraError) -> int:
    match error:
        case BackPressureError() | DeploymentUnavailable():
            return 503
        case ReplicaUnavailableError():
            return 502
        case HeadTooLarge():
            return 431
        case ApplicationFailed():
            return 500
        case ProtocolError():
            return 502
        case _:
            return 500


async def _refuse(
    send: Send, status: int, reason: str, extra: Headers, application: str | None = None
) -> tuple[int, str]:
    headers, body = _refusal(status, reason, extra, application)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return status, reason


def _refusal(status: int, reason: str, extra: Headers, application: str | None) -> tuple[Headers, bytes]:
    """Return headers and body of an answer of the proxy's own."""
    content = {"error": reason} if application is None else {"error": reason, "application": application}
    body = msgspec.json.encode(content)
    headers = _headers(body, b"application/json", extra)
    if status == 503:
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    return headers, body


def _nowhere(path: str) -> str:
    return f"no application is routed at {path}"


async def _answer(send: Send, status: int, body: bytes, kind: bytes, extra: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _headers(body, kind, extra)})
    await send({"type": "http.response.body", "body": body})


def _headers(body: bytes, kind: bytes, extra: Headers) -> Headers:
    return [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *extra]
