"""The proxy's gRPC port: any method of any service, as bytes. No user code, and no servicer, is imported here.

Which replica knows a method, and how its messages are read, the replica finds with the servicers that the routing
names. The application is told by the metadata key ``application``; where only one is routed it need not be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final

import grpc

from remora.errors import BackPressureError, DeploymentUnavailable, RemoraError, ReplicaUnavailableError
from remora.grpc_services import REFLECTION_METHODS
from remora.proxy.access_log import AccessLog, Line, TracedLine
from remora.proxy.holding import Holding
from remora.proxy.metrics import Metrics
from remora.proxy.routing import CurrentRouting
from remora.router import rpc
from remora.router.affinity import Affinity
from remora.router.forward import ApplicationFailed
from remora.transport.messages import Cause, HeadTooLarge, RpcHead
from remora_api.wire import ApplicationRouting

if TYPE_CHECKING:
    from remora.proxy.spans import Spans
    from remora.proxy.tracing import ProxyTracing

METHOD: Final = "GRPC"
"""In the place of a method, in the access log."""
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", rpc.MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", rpc.MAX_MESSAGE_BYTES),
    # Two processes never share a port here; a second one has to be told that it is taken.
    ("grpc.so_reuseport", 0),
)
_LIST: Final = "/ray.serve.RayServeAPIService/ListApplications"
_HEALTHZ: Final = "/ray.serve.RayServeAPIService/Healthz"
_CHECK: Final = "/grpc.health.v1.Health/Check"
MAX_DETAILS_CHARS: Final = 4_000
"""Trailers have a limit in most clients."""


class GrpcServer:
    """`start`, then `stop` with the seconds that calls under way may take."""

    def __init__(
        self,
        routing: CurrentRouting,
        metrics: Metrics,
        holding: Holding,
        *,
        rng: Random,
        access_log: AccessLog | None,
        clock: Callable[[], float],
        not_ready: Callable[[], str | None],
        tracing: ProxyTracing | None = None,
    ) -> None:
        self._tracing = tracing
        self._routing = routing
        self._metrics = metrics
        self._holding = holding
        self._rng = rng
        self._access_log = access_log
        self._clock = clock
        self._not_ready = not_ready
        self._server: grpc.aio.Server | None = None

    async def start(self, host: str, port: int, pair: Callable[[], tuple[bytes, bytes]] | None = None) -> int:
        """Listen, and return the port. Raises OSError when it is taken.

        `pair` returns key and certificate (PEM), anew for each connection; without it there is no TLS.
        """
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((_Handlers(self._serve),))
        try:
            where = f"{host}:{port}"
            bound = (
                server.add_insecure_port(where) if pair is None else server.add_secure_port(where, _credentials(pair))
            )
        except RuntimeError as error:
            raise OSError(f"cannot listen for gRPC on {host}:{port}: {error}") from error
        await server.start()
        self._server = server
        return int(bound)

    async def stop(self, within_s: float) -> None:
        """Take no new calls, tell clients to connect elsewhere, and cut what is left after the time."""
        if self._server is not None:
            await self._server.stop(within_s)

    async def _serve(self, path: str, context: Any) -> None:
        own = self._own(path)
        if own is not None:
            body, reason = own
            await context.write(body)
            if reason is not None:
                context.set_code(grpc.StatusCode.UNAVAILABLE)
                context.set_details(reason)
            return
        begun = self._clock()
        metadata = tuple(context.invocation_metadata() or ())
        known = {key: value for key, value in metadata if isinstance(value, str)}
        request_id = known.get("request_id") or f"{self._rng.getrandbits(128):032x}"
        application = self._application(known.get("application", ""))
        name = application.application if application is not None else ""
        self._metrics.begin(name)
        spans = None
        if self._tracing is not None and application is not None:
            spans, metadata = self._tracing.begin_rpc(metadata)
            known["traceparent"] = next(str(value) for key, value in metadata if key == "traceparent")
        code, details = grpc.StatusCode.CANCELLED, "the client went away"
        try:
            forwarded = self._forward(path, context, metadata, known, request_id, application, spans)
            code, details, trailing = await forwarded
            context.set_code(code)
            context.set_details(details[:MAX_DETAILS_CHARS])
            context.set_trailing_metadata((("request_id", request_id), *trailing))
        finally:
            self._record(name, path, code, details, begun, context.peer(), request_id, known.get("traceparent"))
            if self._tracing is not None and spans is not None:
                said = details if code is not grpc.StatusCode.OK else ""
                self._tracing.end_rpc(
                    spans, path=path, application=name, request_id=request_id, code=code.name, details=said
                )

    async def _forward(
        self,
        path: str,
        context: Any,
        metadata: tuple[tuple[str, str | bytes], ...],
        known: dict[str, str],
        request_id: str,
        application: ApplicationRouting | None,
        spans: Spans | None,
    ) -> tuple[grpc.StatusCode, str, tuple[tuple[str, str | bytes], ...]]:
        if application is None:
            return grpc.StatusCode.NOT_FOUND, _nowhere(known.get("application")), ()
        if path in REFLECTION_METHODS and not application.grpc_reflection:
            return grpc.StatusCode.UNIMPLEMENTED, f"reflection is off in application {application.application!r}", ()
        timeout_s = _sooner(context.time_remaining(), application.grpc_timeout_s)
        pairs = [(key, value.encode() if isinstance(value, str) else value) for key, value in metadata]
        head = RpcHead(path, list(application.grpc_servicers), pairs, context.peer(), request_id, timeout_s)
        wanted = Affinity.of(known.get("multiplexed_model_id", ""), known.get("session_id", ""))

        async def read() -> bytes | None:
            message = await context.read()
            return None if message is grpc.aio.EOF else message

        try:
            async with asyncio.timeout(timeout_s):
                # Metadata are headers, to whoever splits traffic by them.
                pool = self._routing.pick(application, [(key.encode(), value) for key, value in pairs]).pool
                if application.hold is not None and (pool is None or not pool.expects):
                    pool = await self._holding.until_ready(application, application.hold, 0)
                if pool is None:
                    raise DeploymentUnavailable(f"application {application.application!r} is not ready")
                if spans is not None:
                    spans.deployment = pool.deployment
                status = await rpc.carry(pool, head, read, context.write, wanted)
        except TimeoutError:
            return grpc.StatusCode.DEADLINE_EXCEEDED, f"request {request_id}: no answer within {timeout_s:g} s", ()
        except RemoraError as error:
            return _code(error), str(error), ()
        trailing = tuple((key, value if key.endswith("-bin") else value.decode()) for key, value in status.trailing)
        return _CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.details, trailing

    def _application(self, name: str) -> ApplicationRouting | None:
        applications = self._routing.table.applications
        # The only one, which may have a preview at a path of its own beside it.
        if applications and all(it.application == applications[0].application for it in applications):
            return applications[0]
        return next((found for found in applications if found.application == name), None)

    def _own(self, path: str) -> tuple[bytes, str | None] | None:
        """Return the message of a built-in method, and why no traffic should come; None for other methods."""
        if path not in (_LIST, _HEALTHZ, _CHECK):
            return None
        reason = self._not_ready()
        if path == _HEALTHZ:
            return _text_field(reason or "success"), reason
        if path == _CHECK:
            # grpc.health.v1: field 1 is the status, SERVING = 1, NOT_SERVING = 2.
            return b"\x08" + (b"\x02" if reason else b"\x01"), None
        names = dict.fromkeys(found.application for found in self._routing.table.applications)
        return b"".join(map(_text_field, names)), reason

    def _record(
        self,
        name: str,
        path: str,
        code: grpc.StatusCode,
        details: str,
        begun: float,
        peer: str,
        request_id: str,
        trace: str | None,
    ) -> None:
        ended = self._clock()
        self._metrics.end(name, code.name, ended - begun)
        if self._access_log is not None:
            error = details if code is not grpc.StatusCode.OK else None
            milliseconds = round((ended - begun) * 1000, 3)
            said = (ended, name, METHOD, path, code.name, milliseconds, peer, request_id, error)
            self._access_log.add(Line(*said) if trace is None else TracedLine(*said, trace))


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Answers for every method. To HTTP/2 all four kinds of calls are streams both ways."""

    def __init__(self, serve: Callable[[str, Any], Any]) -> None:
        self._serve = serve

    def service(self, handler_call_details: Any) -> Any:
        path = handler_call_details.method

        async def serve(requests: Any, context: Any) -> None:
            await self._serve(path, context)

        return grpc.stream_stream_rpc_method_handler(serve)


_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def _code(error: RemoraError) -> grpc.StatusCode:
    match error:
        case BackPressureError():
            return grpc.StatusCode.RESOURCE_EXHAUSTED
        case DeploymentUnavailable() | ReplicaUnavailableError() | ApplicationFailed(cause=Cause.CANCELLED):
            return grpc.StatusCode.UNAVAILABLE
        case HeadTooLarge():
            return grpc.StatusCode.RESOURCE_EXHAUSTED
        case _:
            return grpc.StatusCode.INTERNAL


def _nowhere(application: str | None) -> str:
    named = f"application {application!r} is not routed here" if application else "metadata names no application"
    return f"{named}: call {_LIST} for those that are"


def _sooner(*limits_s: float | None) -> float | None:
    return min((limit for limit in limits_s if limit is not None), default=None)


def _text_field(text: str) -> bytes:
    """Return field 1 of a protobuf message, a string (wire type 2)."""
    data = text.encode()
    size, length = bytearray(), len(data)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return b"\x0a" + bytes(size) + data


def _credentials(pair: Callable[[], tuple[bytes, bytes]]) -> grpc.ServerCredentials:
    known = pair()
    first = grpc.ssl_server_certificate_configuration([known])

    def latest() -> grpc.ServerCertificateConfiguration | None:
        nonlocal known
        found = pair()
        if found == known:
            return None  # As before.
        known = found
        return grpc.ssl_server_certificate_configuration([found])

    return grpc.dynamic_ssl_server_credentials(first, latest)
