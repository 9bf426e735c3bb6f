"""One process's tracer: begins spans, carries their context as W3C headers, and ends with the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from remora.tracing import exporters
from remora.tracing.settings import TracingSettings

log = logging.getLogger("remora.tracing")

Failure = BaseException | str
"""What went wrong, as a span says it."""

END_S: Final = 5.0
"""What exporters have to send the last spans; longer and the process would be killed."""
UNKNOWN: Final = "unknown_service"
"""How the SDK calls a service that nobody named, by OTEL_SERVICE_NAME say."""


class Tracer:
    """Made by `start`, ended by `close`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("remora")
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def start(
        cls, settings: TracingSettings, *, process: str, resource: Mapping[str, str], is_global: bool = True
    ) -> Tracer:
        """Let this process make spans, where ``is_global`` also those of the user's code; raise TracingFailed."""
        found = Resource.create()
        if str(found.attributes.get("service.name", UNKNOWN)).startswith(UNKNOWN):
            found = found.merge(Resource(dict(resource)))
        # Whoever began the trace has decided; else so many of all, by their ids, which is one decision for a request.
        provider = TracerProvider(sampler=ParentBasedTraceIdRatio(settings.sampling_ratio), resource=found)
        for processor in exporters.processors(settings, process):
            provider.add_span_processor(processor)
        if is_global:
            trace.set_tracer_provider(provider)
        return cls(provider)

    def begin(self, name: str, parent: Context | None, attributes: Mapping[str, Any]) -> Span:
        """Begin a span under the parent; under the current one where it is None."""
        span = self._tracer.start_span(name, parent, SpanKind.SERVER)
        if span.is_recording():
            # `resource.name` is Datadog's.
            span.set_attributes({**attributes, "resource.name": name})
        return span

    def context_of(self, headers: Mapping[str, str]) -> Context:
        """Return the context that `traceparent` and `tracestate` say; an empty one where there are none."""
        return self._propagator.extract(headers, Context())

    def headers_of(self, span: Span) -> dict[str, str]:
        """Return the headers that make a span the parent of another process's, also that of one that is not sampled."""
        headers: dict[str, str] = {}
        self._propagator.inject(headers, set_span_in_context(span, Context()))
        return headers

    async def close(self) -> None:
        """Send what there is; exporters that take longer than `END_S` are left."""
        try:
            async with asyncio.timeout(END_S):
                await asyncio.to_thread(self._provider.shutdown)
        except TimeoutError:
            log.warning("the last spans were not all exported within %g s", END_S)


def enter(span: Span) -> None:
    """Make the span that of the current task, for the user's own spans and calls."""
    attach(set_span_in_context(span, get_current()))


@dataclass(frozen=True, slots=True)
class Ending:
    """Around what a span stands for: tells its end, and what went wrong with it.

    A generator that is closed has not failed: who asked wants no more of it.
    """

    said: Callable[[BaseException], Failure]
    """Returns what the span says of an exception."""
    ended: Callable[[Failure | None], None]

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ended(None if error is None or isinstance(error, GeneratorExit) else self.said(error))


def rpc(service: str, method: str, system: str = "UNDEFINED") -> Mapping[str, Any]:
    """Return the attributes of a call: those of a handle are of no known system, as in Ray Serve."""
    return {"rpc.system": system, "rpc.method": method, "rpc.service": service}


def end(span: Span, error: Failure | None, attributes: Mapping[str, Any] | None = None) -> None:
    """End a span, as an ERROR where something went wrong."""
    if span.is_recording():
        if attributes:
            span.set_attributes(attributes)
        if isinstance(error, BaseException):
            span.record_exception(error)
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, str(error) or type(error).__name__))
    span.end()
