"""A replica's code with tracing: a span `replica_handle_request` around each request, current while the code runs.

Stands between the replica's server and the user's object, as another `types.Service`. The server runs each request in a
task of its own, whose context ends with it: what is entered here need not be left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from opentelemetry.trace import Span

from remora import headers
from remora.tracing import raised
from remora.tracing.tracer import Ending, Failure, Tracer, end, enter, rpc
from remora.transport.stream import StreamClosed
from remora.types import (
    WHOLE_ANSWER,
    CallMetadata,
    Message,
    Payload,
    Receive,
    RemoteFailure,
    RpcCall,
    Scope,
    Send,
    Service,
    Trailing,
)


class TracedService:
    """A `types.Service`."""

    def __init__(self, inner: Service, tracer: Tracer, *, application: str, deployment: str, replica: str) -> None:
        self._inner = inner
        self._tracer = tracer
        self._application = application
        self._deployment = deployment
        self._replica = replica

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or WebSocket within a span."""
        given = headers.traces(scope["headers"])
        request_id = next((value for name, value in scope["headers"] if name == headers.REQUEST_ID), b"")
        route = scope.get("root_path") or "/"
        span = self._begin(given, request_id.decode("latin-1"), "__call__", route, streams=True)
        watched = _Answer(scope, send)

        def ended(error: Failure | None) -> None:
            known = {"http.method": scope.get("method", "WS"), "http.route": route, "http.status_code": watched.status}
            known = {name: value for name, value in known.items() if value is not None}
            _end(span, watched.error if error is None else error, known)

        with Ending(_said, ended):
            await self._inner.asgi(scope, receive, watched.send)

    async def rpc(self, call: RpcCall) -> None:
        """Serve one gRPC call within a span."""
        given = headers.rpc_traces(call.metadata)
        method = call.path.rpartition("/")[2]
        span = self._begin(given, call.request_id, method, self._application, streams=False)
        watched = _Call(call)

        def ended(error: Failure | None) -> None:
            status = {} if watched.code is None else {"rpc.grpc.status_code": watched.code}
            known = {**rpc(self._deployment, method, "grpc"), **status}
            _end(span, watched.error if error is None else error, known)

        with Ending(_said, ended):
            await self._inner.rpc(watched)

    async def call(self, metadata: CallMetadata, payload: Payload) -> Payload:
        """Run one handle call within a span."""
        with self._within_call(metadata):
            return await self._inner.call(metadata, payload)

    async def stream(self, metadata: CallMetadata, payload: Payload) -> AsyncGenerator[Payload]:
        """Run one streaming handle call within a span, which ends with the stream."""
        with self._within_call(metadata):
            async with aclosing(self._inner.stream(metadata, payload)) as items:
                async for item in items:
                    yield item

    def _within_call(self, metadata: CallMetadata) -> Ending:
        """Begin the span of a handle call, which ends with the block."""
        more = {"multiplexed_model_id": metadata.multiplexed_model_id}
        span = self._begin(
            metadata.headers, metadata.request_id, metadata.method, metadata.route, streams=metadata.stream, more=more
        )
        return Ending(_said, lambda error: _end(span, error, rpc(self._deployment, metadata.method)))

    def _begin(
        self,
        given: Mapping[str, str],
        request_id: str,
        method: str,
        route: str,
        *,
        streams: bool,
        more: Mapping[str, str] | None = None,
    ) -> Span:
        attributes = {
            "request_id": request_id,
            "replica_id": self._replica,
            "deployment": self._deployment,
            "app": self._application,
            "call_method": method,
            "route": route,
            "multiplexed_model_id": "",
            "is_streaming": streams,
            **(more or {}),
        }
        name = f"replica_handle_request {self._deployment} {method}"
        span = self._tracer.begin(name, self._tracer.context_of(given), attributes)
        enter(span)
        raised.enter()
        return span


class _Answer:
    """What an application answers, on its way."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.status: int | None = None
        self.error: str | None = None
        self._send = send
        whole: Callable[[Any, bytes], bool] | None = scope.get("extensions", {}).get(WHOLE_ANSWER)
        if whole is not None:
            self._whole = whole
            scope["extensions"] = {**scope["extensions"], WHOLE_ANSWER: self.answer}

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self._has(message["status"])
        await self._send(message)

    def answer(self, pairs: Any, body: bytes) -> bool:
        taken = self._whole(pairs, body)
        if taken:
            self._has(200)
        return taken

    def _has(self, status: int) -> None:
        self.status = status
        self.error = f"status {status}" if status >= 500 else None


class _Call:
    """A gRPC call whose status is seen."""

    def __init__(self, inner: RpcCall) -> None:
        self.code: int | None = None
        self.error: str | None = None
        self._inner = inner

    @property
    def path(self) -> str:
        return self._inner.path

    @property
    def servicers(self) -> Sequence[str]:
        return self._inner.servicers

    @property
    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self._inner.metadata

    @property
    def peer(self) -> str:
        return self._inner.peer

    @property
    def request_id(self) -> str:
        return self._inner.request_id

    def messages(self) -> AsyncGenerator[bytes, None]:
        return self._inner.messages()

    async def send(self, message: bytes) -> None:
        await self._inner.send(message)

    def finish(self, code: int, details: str, trailing: Trailing) -> None:
        self.code, self.error = code, (details or f"status {code}") if code else None
        self._inner.finish(code, details, trailing)


def _end(span: Span, error: Failure | None, known: Mapping[str, Any]) -> None:
    noted = raised.first()
    end(span, error if noted is None else noted, known)


def _said(error: BaseException) -> Failure:
    """Return what a span says of it: what the code raised, not what it was packed into."""
    match error:
        case RemoteFailure():
            return error.__cause__ or error.text
        case asyncio.CancelledError():
            return "cancelled"
        case StreamClosed():
            return "the client went away"
        case _:
            return error
