"""The spans of a request at a proxy: one of all of it, and below it one of its way to a replica."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span, Status, StatusCode

from remora.tracing.tracer import end


class Spans:
    """Of one request."""

    __slots__ = ("_request", "_route", "deployment")

    def __init__(self, request: Span, route: Span) -> None:
        self.deployment = ""
        """Of a gRPC call: where it went."""
        self._request = request
        self._route = route

    def named(self, request: str, route: str, attributes: Mapping[str, Any], routed: Mapping[str, Any]) -> None:
        """Say where it went, which is known only once it goes there."""
        for span, name, known in ((self._request, request, attributes), (self._route, route, routed)):
            if span.is_recording():
                span.update_name(name)
                span.set_attributes({**known, "resource.name": name})

    def end(self, error: str | None, attributes: Mapping[str, Any], routed: Mapping[str, Any]) -> None:
        """End both."""
        end(self._route, error, routed)
        if error is None:
            # Only those of proxies say so, as in Ray Serve: elsewhere it is the user's to say.
            self._request.set_status(Status(StatusCode.OK))
        end(self._request, error, attributes)
