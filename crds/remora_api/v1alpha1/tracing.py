"""Spans of requests: `spec.tracing`."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le, MaxLen

from remora_api.model import Int, Model, matches

Endpoint = Annotated[
    str,
    MaxLen(512),
    matches(
        r"https?://[^\s/?#]+(/[^\s?#]*)?",
        "must be the http or https URL of a collector, for instance http://collector.observability:4318",
    ),
]


class Tracing(Model):
    """Spans by OpenTelemetry: of each request at the proxies, of calls, and of your code's work on them."""

    endpoint: Endpoint
    """Where the spans go: base URL of a collector that takes OTLP over HTTP, for instance
    http://collector.observability:4318. `/v1/traces` is appended."""
    sampling_rate_per_million: Annotated[Int, Ge(0), Le(1_000_000)] = 10_000
    """Of a million requests whose client did not decide it (`traceparent`), how many have spans. The default is 1 %."""
