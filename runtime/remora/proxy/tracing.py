"""Tracing at the proxy: what it says of requests, and how the replica comes to know of them.

Only there where tracing is on; `app` and `rpc` ask for it with one look at an attribute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import set_span_in_context

from remora.headers import TRACES, TRACES_ON_THE_WIRE, rpc_traces, traces
from remora.proxy.spans import Spans
from remora.proxy.visit import Visit
from remora.tracing.tracer import Tracer, rpc

_GOOD_CLOSES: Final = (1000, 1001)


class ProxyTracing:
    """Begins and ends the spans of HTTP requests, WebSockets and gRPC calls."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, visit: Visit) -> None:
        """Begin the spans of a request, and let the replica know of them by its headers."""
        visit.spans, carried = self._begin(f"proxy_{visit.scope['type']}_request", traces(visit.headers))
        visit.headers = [pair for pair in visit.headers if pair[0] not in TRACES_ON_THE_WIRE] + carried
        visit.trace = carried[0][1].decode()

    def end(self, visit: Visit, spans: Spans, status: int, error: str | None) -> None:
        """End them with the answer's status, or a WebSocket's close code."""
        scope = visit.scope
        pool = visit.picked.pool if visit.picked is not None else None
        deployment = pool.deployment if pool is not None else ""
        kind, method = scope["type"], scope.get("method", "WS")
        # Below the application's prefix, as in Ray Serve.
        path = scope["path"].removeprefix(visit.prefix) or "/"
        known = {"request_id": visit.request_id, "deployment": deployment, "app": visit.name}
        spans.named(
            f"proxy_{kind}_request {deployment} {method} {path}",
            f"route_to_replica {deployment} __call__",
            {**known, "request_type": kind, "request_method": method, "request_route_path": path},
            {**known, **_routed("__call__", visit.prefix or "/", http=True)},
        )
        bad = status >= 400 and not (kind == "websocket" and status in _GOOD_CLOSES)
        route = {"http.method": method, "http.route": path}
        spans.end(
            error or f"status {status}" if bad else None,
            {**route, "http.status_code": status},
            route,
        )

    def begin_rpc(self, pairs: Sequence[tuple[str, str | bytes]]) -> tuple[Spans, tuple[tuple[str, str | bytes], ...]]:
        """Begin the spans of a gRPC call, and return the metadata by which the replica knows of them."""
        spans, carried = self._begin("proxy_grpc_request", rpc_traces(pairs))
        kept = (pair for pair in pairs if pair[0] not in TRACES)
        return spans, (*kept, *((name.decode(), value.decode()) for name, value in carried))

    def end_rpc(self, spans: Spans, *, path: str, application: str, request_id: str, code: str, details: str) -> None:
        """End them with the call's status."""
        deployment, method = spans.deployment, path.rpartition("/")[2]
        known = {"request_id": request_id, "deployment": deployment, "app": application}
        spans.named(
            f"proxy_grpc_request {deployment} {path}",
            f"route_to_replica {deployment} {method}",
            {**known, "request_type": "grpc"},
            {**known, **_routed(method, application, http=False)},
        )
        spans.end(
            None if code == "OK" else details or code,
            {"rpc.system": "grpc", "rpc.method": path, "rpc.grpc.status_code": code},
            rpc(deployment, method, "grpc"),
        )

    def _begin(self, name: str, given: Mapping[str, str]) -> tuple[Spans, list[tuple[bytes, bytes]]]:
        request = self._tracer.begin(name, self._tracer.context_of(given), {})
        route = self._tracer.begin("route_to_replica", set_span_in_context(request, Context()), {})
        carried = [(name.encode(), value.encode()) for name, value in self._tracer.headers_of(route).items()]
        return Spans(request, route), carried


def _routed(method: str, route: str, *, http: bool) -> Mapping[str, Any]:
    return {
        "call_method": method,
        "route": route,
        "multiplexed_model_id": "",
        "is_streaming": http,
        "is_http_request": http,
        "is_grpc_request": not http,
    }
