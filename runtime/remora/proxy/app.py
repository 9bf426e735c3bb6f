"""The proxy's ASGI application: finds the application of a path and forwards; says in short JSON why it cannot.

First step of a request: `app → routes → router.forward → transport → replica`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

import msgspec

from remora.errors import DeploymentUnavailable, RemoraError
from remora.proxy.access_log import AccessLog, Line, TracedLine
from remora.proxy.busy_poll import nothing
from remora.proxy.client import CLIENT, Client
from remora.proxy.figures import Figures
from remora.proxy.holding import Holding
from remora.proxy.known_heads import KnownHeads
from remora.proxy.metrics import Metrics
from remora.proxy.mirroring import Mirroring
from remora.proxy.refusals import (
    CLIENT_GONE,
    NONE,
    RETRY_SOON,
    TEXT,
    Refusals,
    Refused,
    advice_of,
    headers_of,
    refusal,
    status_of,
)
from remora.proxy.routing import CurrentRouting, Picked
from remora.proxy.short_way import ShortWay
from remora.proxy.visit import Visit, read
from remora.router.forward import ApplicationFailed, forward
from remora.router.pool import Pool
from remora.router.socket import ABNORMAL, Carried, ClientGone, carry, refuse
from remora.router.waiting import Opened
from remora.transport.frames import END, MAX_PART_BYTES, REQUEST
from remora.transport.messages import Cause, Headers, HeadTooLarge, pack
from remora.types import Receive, Scope, Send
from remora_api.wire import ApplicationRouting

if TYPE_CHECKING:
    from remora.proxy.tracing import ProxyTracing

logger = logging.getLogger(__name__)

TIMER_SLACK_S: Final = 0.05
WEBSOCKET: Final = "WEBSOCKET"
"""In the place of a method, in the access log."""
OPENED: Final = "remora.opened"
"""Key in the scope of the `ShortWay`, or `Refused`, that did not end."""


class ProxyApp:
    """Serves every request of this process."""

    def __init__(
        self,
        routing: CurrentRouting,
        metrics: Metrics,
        holding: Holding,
        *,
        rng: Random,
        access_log: AccessLog | None = None,
        clock: Callable[[], float],
        not_ready: Callable[[], str | None] = lambda: None,
        root_path: str = "",
        tracing: ProxyTracing | None = None,
    ) -> None:
        self.closing = False
        """Every answer asks its client to come back on another connection, which leads to another proxy."""
        self.heard: Callable[[], None] = nothing
        """Told of each answer's arrival."""
        self.figures = Figures()
        self.mirroring = Mirroring(self.figures, clock)
        self._routing = routing
        self._metrics = metrics
        self._holding = holding
        self._rng = rng
        self._access_log = access_log
        self._clock = clock
        self._not_ready = not_ready
        self._tracing = tracing
        self._own_paths = f"{root_path}/-/"
        self.refusals = Refusals(self._record)
        self._heads = KnownHeads()

    def take_short_way(self, scope: Scope, client: Client) -> ShortWay | Refused | None:
        """Begin to serve a whole request without a task, if a replica has room; or refuse it, if nobody has any."""
        found = self._routing.table.match(scope["path"])
        if found is None or scope["path"].startswith(self._own_paths):
            return None
        picked = self._routing.pick(found[1], scope["headers"])
        if picked.pool is None:
            return None
        visit = self._read(scope, found)
        visit.goes_to(picked)
        link = picked.pool.try_acquire(visit.wanted)
        if link is None:
            return self._refuse_soon(visit, picked.pool, client)
        try:
            payload = pack(visit.head(visit.timeout_s), client.body)
        except HeadTooLarge:
            link.release()
            return None
        stream = link.open(REQUEST | END, payload)
        if stream is None:
            link.release()
            return None
        if found[1].mirror is not None:
            self._repeat(visit, found[1], client.body)
        self._metrics.begin(visit.name)
        short_way = scope[OPENED] = ShortWay(visit, client, link, stream, self._heads, self.heard, self._record)
        return short_way

    def _refuse_soon(self, visit: Visit, pool: Pool, client: Client) -> Refused | None:
        error = pool.refused()
        if error is None:
            return None
        self._metrics.begin(visit.name)
        refused = visit.scope[OPENED] = self.refusals.add(visit, client, error)
        return refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket, or go on where the short way stopped."""
        if scope["type"] != "http":
            await self._converse(scope, receive, send)
            return
        short_way: ShortWay | Refused | None = scope.get(OPENED)
        if short_way is None:
            visit = self._read(scope, self._routing.table.match(scope["path"]))
            opened = None
            self._metrics.begin(visit.name)
        else:
            visit, opened = short_way.visit, short_way.opened
        status, error = CLIENT_GONE, None
        try:
            status, error = await self._serve(visit, send, opened)
        finally:
            self._record(visit, status, error)

    def _read(self, scope: Scope, found: tuple[str, ApplicationRouting] | None) -> Visit:
        visit = read(scope, found, begun=self._clock(), rng=self._rng, closing=self.closing)
        if self._tracing is not None and found is not None and not scope["path"].startswith(self._own_paths):
            self._tracing.begin(visit)
        return visit

    def _record(self, visit: Visit, status: int, error: str | None) -> None:
        ended = self._clock()
        name, scope, duration_s = visit.name, visit.scope, ended - visit.begun
        # What refers to each other in a ring would wait for the garbage collector, a fifth of the proxy's work.
        scope.pop(CLIENT, None)
        scope.pop(OPENED, None)
        self._metrics.end(name, status, duration_s)
        if visit.picked is not None and visit.picked.revision:
            self.figures.add(name, visit.picked.revision, status, duration_s, ended)
        if self._tracing is not None and visit.spans is not None:
            self._tracing.end(visit, visit.spans, status, error)
        if self._access_log is None:
            return
        client = scope["client"][0] if scope["client"] else ""
        milliseconds = round(duration_s * 1000, 3)
        method = scope.get("method", WEBSOCKET)
        said = (ended, name, method, scope["path"], status, milliseconds, client, visit.request_id, error)
        self._access_log.add(Line(*said) if visit.trace is None else TracedLine(*said, visit.trace))

    async def _serve(self, visit: Visit, send: Send, opened: Opened | None) -> tuple[int, str | None]:
        """Answer, and return the status and what went wrong."""
        path = visit.scope["path"]
        if path.startswith(self._own_paths):
            status = await self._own(path.removeprefix(self._own_paths), send, visit.extra)
            if status is not None:
                return status, None
        application = visit.application
        if application is None:
            return await _refuse(send, 404, _nowhere(path), visit.extra)
        client: Client = visit.scope[CLIENT]
        if visit.detached:
            client.served(asyncio.current_task())
        left_s = None if visit.timeout_s is None else visit.timeout_s - (self._clock() - visit.begun)
        try:
            async with asyncio.timeout(left_s):
                return await self._forward(visit, application, left_s, opened), None
        except asyncio.CancelledError:
            if not client.gone:
                raise
            return CLIENT_GONE, "the client went away"  # The task ends here, and its owner asks for no more.
        except TimeoutError:
            refused: tuple[int, str, Mapping[str, str]] = (408, _late(visit), {})
        except RemoraError as error:
            late = self._is_late(visit, error)
            refused = (408, _late(visit), {}) if late else (status_of(error), str(error), advice_of(error))
        finally:
            client.served(asyncio.current_task())
        if client.gone:
            return CLIENT_GONE, "the client went away"
        if client.answer_begun:
            client.cut()
            return refused[:2]
        status, reason, advice = refused
        return await _refuse(send, status, reason, visit.extra, advice)

    def _is_late(self, visit: Visit, error: RemoraError) -> bool:
        """Tell whether the replica cancelled it at the deadline: its timer may come before ours, which began first."""
        if visit.timeout_s is None or not isinstance(error, ApplicationFailed) or error.cause is not Cause.CANCELLED:
            return False
        return self._clock() - visit.begun >= visit.timeout_s - TIMER_SLACK_S

    async def _forward(
        self, visit: Visit, application: ApplicationRouting, left_s: float | None, opened: Opened | None
    ) -> int:
        pool = self._pool_for(visit, application)
        hold = application.hold
        client: Client = visit.scope[CLIENT]
        if hold is not None and opened is None and (pool is None or not pool.expects):
            pool = await self._holding.until_ready(application, hold, client.body_bytes)
        if pool is None:
            raise DeploymentUnavailable(f"application {application.application!r} is not ready")
        # A body that is not all there is read as it is consumed, and so is what has come of it.
        whole = not client.more_body and client.body_bytes <= MAX_PART_BYTES
        part = client.body if whole else None
        if part is not None and application.mirror is not None and opened is None:
            self._repeat(visit, application, part)
        head = visit.head(left_s)
        while True:
            try:
                return await forward(pool, head, part, client, visit.extra, opened, visit.wanted)
            except DeploymentUnavailable:
                # Nothing of the request was sent: the last replica went while it looked for one, or waited for it.
                other = self._another(visit, pool)
                opened = None
                if other is not None:
                    pool = other
                elif hold is not None:
                    pool = await self._holding.until_ready(application, hold, client.body_bytes, again=True)
                else:
                    raise

    def _pool_for(self, visit: Visit, application: ApplicationRouting) -> Pool | None:
        if visit.picked is None:
            visit.goes_to(self._routing.pick(application, visit.scope["headers"]))
        return visit.picked.pool if visit.picked is not None else None

    def _another(self, visit: Visit, than: Pool) -> Pool | None:
        """Return where a request can go by now instead, if another revision is ready."""
        found = self._routing.table.match(visit.scope["path"])
        picked = self._routing.pick(found[1], visit.scope["headers"]) if found is not None else Picked(None)
        if picked.pool is None or picked.pool is than or not picked.pool.ready:
            return None
        visit.picked = picked
        return picked.pool

    def _repeat(self, visit: Visit, application: ApplicationRouting, body: bytes) -> None:
        found = self._routing.mirror(application, visit.picked.revision if visit.picked else "")
        if found is not None:
            self.mirroring.repeat(visit, *found, body)

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
            pool = self._pool_for(visit, application) if application is not None else None
            if application is not None and application.hold is not None and (pool is None or not pool.expects):
                async with asyncio.timeout(timeout_s):
                    pool = await self._holding.until_ready(application, application.hold, 0)
            if application is None:
                refused: tuple[int, str, Mapping[str, str]] = (404, _nowhere(visit.scope["path"]), {})
            elif pool is None:
                reason = f"application {application.application!r} is not ready"
                refused = (503, reason, RETRY_SOON)
            else:
                async with asyncio.timeout(timeout_s) as handshake:
                    head, accepted = visit.head(None), partial(handshake.reschedule, None)
                    return await carry(pool, head, receive, send, visit.extra, accepted, visit.wanted)
        except TimeoutError:
            refused = (408, _late(visit), {})
        except ClientGone as error:
            return Carried(CLIENT_GONE, str(error))
        except RemoraError as error:
            refused = status_of(error), str(error), advice_of(error)
        status, reason, advice = refused
        headers, body = refusal(reason, visit.extra, advice)
        await refuse(send, status, body, headers)
        return Carried(status, reason)

    async def _own(self, name: str, send: Send, extra: Headers) -> int | None:
        """Answer Ray Serve's own paths, and return the status; None for others."""
        if name not in ("healthz", "routes"):
            return None
        reason = self._not_ready()
        if reason is not None:
            status, _ = await _refuse(send, 503, reason, extra, RETRY_SOON)
            return status
        if name == "healthz":
            await _answer(send, 200, b"success", TEXT, extra)
        else:
            table = {app.route_prefix: app.application for app in self._routing.table.applications}
            await _answer(send, 200, msgspec.json.encode(table), b"application/json", extra)
        return 200


async def _refuse(
    send: Send, status: int, reason: str, extra: Headers, advice: Mapping[str, str] = NONE
) -> tuple[int, str]:
    headers, body = refusal(reason, extra, advice)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return status, reason


def _late(visit: Visit) -> str:
    pool = visit.picked.pool if visit.picked is not None else None
    who = f"deployment {pool.deployment!r} of application {pool.application!r}: " if pool is not None else ""
    return f"{who}request {visit.request_id}: no answer within {visit.timeout_s:g} s"


def _nowhere(path: str) -> str:
    return f"path {path!r}: no application is routed there; GET /-/routes lists those that are"


async def _answer(send: Send, status: int, body: bytes, kind: bytes, extra: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers_of(body, kind, extra)})
    await send({"type": "http.response.body", "body": body})
