"""What a process does for spans at its start: nothing, unless its environment says so. Light: all import it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from remora.tracing.settings import TracingSettings

if TYPE_CHECKING:
    from remora.tracing.tracer import Tracer
    from remora.types import Caller, Service


def tracer_of_proxy(settings: TracingSettings) -> Tracer | None:
    """Return what makes a proxy's spans, None where tracing is off; raise TracingFailed."""
    return _tracer(settings, f"proxy_{os.getpid()}", {"service.name": "remora-proxy"})


def tracer_of_replica(settings: TracingSettings, application: str, deployment: str, replica: str) -> Tracer | None:
    """Return what makes a replica's spans, None where tracing is off; raise TracingFailed."""
    who = {"service.name": deployment, "service.namespace": application, "service.instance.id": replica}
    return _tracer(settings, f"replica_{replica.replace('#', '_')}", who)


def tracer_of_program(settings: TracingSettings) -> Tracer | None:
    """Return what makes the spans of calls from outside of replicas, None where tracing is off; raise TracingFailed.

    The program's own OpenTelemetry stays its own: what it has set up makes its spans, and ours are their children.
    """
    return _tracer(settings, f"program_{os.getpid()}", {"service.name": "remora-program"}, is_global=False)


def traced_caller(router: Caller, tracer: Tracer | None) -> Caller:
    """Return what handles call through: with a span for each call, or the router itself."""
    if tracer is None:
        return router
    from remora.tracing.caller import TracedCaller

    return TracedCaller(router, tracer)


def traced_service(service: Service, tracer: Tracer | None, application: str, deployment: str, replica: str) -> Service:
    """Return what a replica's server calls: with a span for each request, or the user's object itself."""
    if tracer is None:
        return service
    from remora.tracing.service import TracedService

    short = replica.rpartition("#")[2]
    return TracedService(service, tracer, application=application, deployment=deployment, replica=short)


def _tracer(
    settings: TracingSettings, process: str, resource: Mapping[str, str], *, is_global: bool = True
) -> Tracer | None:
    if not settings.is_on:
        return None
    from remora.tracing.exporters import check_installed

    check_installed()
    from remora.tracing.tracer import Tracer

    return Tracer.start(settings, process=process, resource=resource, is_global=is_global)
