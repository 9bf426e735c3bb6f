"""Handles with tracing, a replica's and a program's: a span `route_to_replica` for each call, as long as the call.

Stands around the router as another `types.Caller`. Ray Serve's span ends when a replica is found; this one is as long
as the call, as a parent is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from opentelemetry.trace import Span

from remora.tracing.tracer import Ending, Failure, Tracer, end, rpc
from remora.types import Caller, CallMetadata, Payload, RemoteFailure, Reservation


class TracedCaller:
    """A `types.Caller`."""

    def __init__(self, inner: Caller, tracer: Tracer) -> None:
        self._inner = inner
        self._tracer = tracer

    async def call(self, application: str, deployment: str, metadata: CallMetadata, payload: Payload) -> Payload:
        """Run one call within a span."""
        span, metadata = self._begin(application, deployment, metadata)
        with _ending(span, deployment, metadata):
            return await self._inner.call(application, deployment, metadata, payload)

    async def stream(
        self, application: str, deployment: str, metadata: CallMetadata, payload: Payload
    ) -> AsyncGenerator[Payload]:
        """Run one streaming call within a span, which ends with the stream."""
        span, metadata = self._begin(application, deployment, metadata)
        with _ending(span, deployment, metadata):
            # Closed here and now, not when the garbage collector comes by: the other replica is told.
            async with aclosing(self._inner.stream(application, deployment, metadata, payload)) as items:
                async for item in items:
                    yield item

    async def replicas(self, application: str, deployment: str) -> Sequence[str]:
        """Return the names of the replicas, as the inner caller."""
        return await self._inner.replicas(application, deployment)

    async def reserve(
        self, application: str, deployment: str, metadata: CallMetadata, replica: str = ""
    ) -> Reservation:
        """Take a place; the span is that of the call that is sent with it."""
        place = await self._inner.reserve(application, deployment, metadata, replica)
        return TracedReservation(place, self, application, deployment)

    def knows(self, application: str, deployment: str) -> bool:
        """Return whether a replica takes requests, as the inner caller."""
        return self._inner.knows(application, deployment)

    def _begin(self, application: str, deployment: str, metadata: CallMetadata) -> tuple[Span, CallMetadata]:
        name = f"route_to_replica {deployment} {metadata.method}"
        span = self._tracer.begin(name, None, _attributes(application, deployment, metadata))
        return span, replace(metadata, headers={**metadata.headers, **self._tracer.headers_of(span)})


class TracedReservation:
    """A `types.Reservation`."""

    def __init__(self, inner: Reservation, caller: TracedCaller, application: str, deployment: str) -> None:
        self.replica, self.host, self.port, self.node = inner.replica, inner.host, inner.port, inner.node
        self._inner = inner
        self._caller = caller
        self._application = application
        self._deployment = deployment

    async def call(self, metadata: CallMetadata, payload: Payload) -> Payload:
        """Run the call within a span."""
        span, metadata = self._caller._begin(self._application, self._deployment, metadata)
        with _ending(span, self._deployment, metadata):
            return await self._inner.call(metadata, payload)

    async def stream(self, metadata: CallMetadata, payload: Payload) -> AsyncGenerator[Payload]:
        """Run the streaming call within a span, which ends with the stream."""
        span, metadata = self._caller._begin(self._application, self._deployment, metadata)
        with _ending(span, self._deployment, metadata):
            async with aclosing(self._inner.stream(metadata, payload)) as items:
                async for item in items:
                    yield item

    def release(self) -> None:
        """Give the place back."""
        self._inner.release()


def _ending(span: Span, deployment: str, metadata: CallMetadata) -> Ending:
    return Ending(_said, lambda error: end(span, error, rpc(deployment, metadata.method)))


def _said(error: BaseException) -> Failure:
    """Return what a span says of it: the exception of the other replica's code is recorded there."""
    if isinstance(error, RemoteFailure):
        return error.text.strip().rpartition("\n")[2]
    return "cancelled" if isinstance(error, asyncio.CancelledError) else error


def _attributes(application: str, deployment: str, metadata: CallMetadata) -> Mapping[str, Any]:
    return {
        "request_id": metadata.request_id,
        "deployment": deployment,
        "app": application,
        "call_method": metadata.method,
        "route": metadata.route,
        "multiplexed_model_id": metadata.multiplexed_model_id,
        "is_streaming": metadata.stream,
        "is_http_request": False,
        "is_grpc_request": False,
    }
