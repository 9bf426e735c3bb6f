"""The proxy's ASGI application: finds the application of a path and forwards; says in short JSON why it cannot.

First step of a request: `app → routes → router.forward → transport → replica`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from remora.errors import BackPressureError, DeploymentUnavailable, ProtocolError, RemoraError, ReplicaUnavailableError
from remora.proxy.access_log import AccessLog, Line
from remora.proxy.metrics import UNROUTED, Metrics
from remora.proxy.protocol import CLIENT, Client
from remora.proxy.routing import CurrentRouting
from remora.router.forward import HOP_BY_HOP, ApplicationFailed, forward
from remora.transport.frames import MAX_PART_BYTES
from remora.transport.messages import Headers, HeadTooLarge, RequestHead
from remora.types import Receive, Scope, Send
from remora_api.wire import ApplicationRouting

logger = logging.getLogger(__name__)

REQUEST_ID: Final = b"x-request-id"
TIMEOUT: Final = b"x-request-timeout-seconds"
RETRY_AFTER_S: Final = 1
CLIENT_GONE: Final = 499

_SPECIAL: Final = HOP_BY_HOP - {b"transfer-encoding"} | {REQUEST_ID, TIMEOUT, b"expect"}


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"{scope['type']} is not served")
        begun = self._clock()
        found = self._routing.table.match(scope["path"])
        name = found[1].application if found is not None else UNROUTED
        headers, request_id, timeout_s = self._read_headers(scope)
        self._metrics.begin(name)
        status, error = CLIENT_GONE, None
        try:
            status, error = await self._serve(scope, receive, send, found, headers, request_id, timeout_s)
        finally:
            ended = self._clock()
            self._metrics.end(name, status, ended - begun)
            if self._access_log is not None:
                address = scope["client"]
                self._access_log.add(
                    Line(
                        ended,
                        name,
                        scope["method"],
                        scope["path"],
                        status,
                        round((ended - begun) * 1000, 3),
                        address[0] if address else "",
                        request_id,
                        error,
                    )
                )

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        found: tuple[str, ApplicationRouting] | None,
        headers: Headers,
        request_id: str,
        timeout_s: float | None,
    ) -> tuple[int, str | None]:
        """Answer, and return the status and what went wrong."""
        extra: Headers = [(REQUEST_ID, request_id.encode("latin-1"))]
        if self.closing:
            extra.append((b"connection", b"close"))
        if scope["path"].startswith("/-/"):
            answered = await self._own(scope["path"], send, extra)
            if answered:
                return 200, None
        if found is None:
            return await _refuse(send, 404, f"no application is routed at {scope['path']}", extra)
        prefix, application = found
        client: Client = scope[CLIENT]
        timeout_s = timeout_s or application.request_timeout_s
        try:
            if timeout_s is None:
                return await self._forward(scope, receive, send, prefix, application, headers, request_id, None, extra)
            async with asyncio.timeout(timeout_s):
                return await self._forward(
                    scope, receive, send, prefix, application, headers, request_id, timeout_s, extra
                )
        except asyncio.CancelledError:
            if not client.gone:
                raise
            return CLIENT_GONE, "the client went away"  # The task ends here, and its owner asks for no more.
        except TimeoutError:
            refusal = (408, f"no answer within {timeout_s:g} s")
        except RemoraError as error:
            refusal = _status(error), str(error)
        finally:
            client.served()
        if client.gone:
            return CLIENT_GONE, "the client went away"
        if client.answer_begun:
            client.cut()
            return refusal
        return await _refuse(send, *refusal, extra, application.application)

    async def _forward(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        prefix: str,
        application: ApplicationRouting,
        headers: Headers,
        request_id: str,
        timeout_s: float | None,
        extra: Headers,
    ) -> tuple[int, str | None]:
        pool = self._routing.pool(application)
        if pool is None:
            raise DeploymentUnavailable(f"application {application.application!r} is not ready")
        client: Client = scope[CLIENT]
        part, rest = client.body, None
        if client.more_body or len(part) > MAX_PART_BYTES:
            # What has come is taken by `receive` like the rest, so that reading goes on as it is consumed.
            part, rest = b"", receive
        head = RequestHead(
            "http",
            scope["method"],
            scope["path"],
            scope["raw_path"],
            scope["query_string"],
            prefix,
            scope["scheme"],
            scope["http_version"],
            headers,
            scope["client"],
            scope["server"],
            request_id,
            timeout_s,
        )
        return await forward(pool, head, part, rest, send, extra, client.answer), None

    def _read_headers(self, scope: Scope) -> tuple[Headers, str, float | None]:
        """Return what the application sees, the request's id, and the client's own timeout."""
        headers: Headers = []
        request_id = ""
        timeout_s: float | None = None
        for pair in scope["headers"]:
            name, value = pair
            if name in _SPECIAL:
                if name == REQUEST_ID:
                    request_id = value.decode("latin-1")
                elif name == TIMEOUT:
                    timeout_s = _seconds(value)
                continue
            headers.append(pair)
        if not request_id:
            request_id = f"{self._rng.getrandbits(128):032x}"
        headers.append((REQUEST_ID, request_id.encode("latin-1")))
        return headers, request_id, timeout_s

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


def _seconds(value: bytes) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None


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
    headers = [*extra]
    if status == 503:
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    content = {"error": reason} if application is None else {"error": reason, "application": application}
    await _answer(send, status, msgspec.json.encode(content), b"application/json", headers)
    return status, reason


async def _answer(send: Send, status: int, body: bytes, kind: bytes, headers: Headers) -> None:
    own = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": own + headers})
    await send({"type": "http.response.body", "body": body})
