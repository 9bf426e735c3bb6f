"""Scale to zero of a whole application, as people write it in the resource."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Le

from remora_api.model import Int, Model, Quantity


class HeadAtZero(StrEnum):
    """What becomes of the head pod."""

    KEEP = "Keep"
    ZERO = "Zero"


class ScaleToZero(Model):
    """Take all worker pods away while nobody asks; the next request brings them back. It waits in the proxy meanwhile,
    as do those that follow it."""

    idle_seconds: Annotated[Int, Ge(1), Le(604800)]
    """Seconds without a request after which the application goes to zero, for instance 900. It also stays for so long
    after it became ready."""
    head: HeadAtZero = HeadAtZero.KEEP
    """Keep leaves the head pod where it is, so that replicas are back sooner. Zero takes it away, too: only the proxies
    stay."""
    hold_seconds: Annotated[Int, Ge(1), Le(3600)] = 300
    """Seconds that a request waits for the first replica; then it is answered 503. proxy.requestTimeoutSeconds, and the
    client's own patience, may be shorter."""
    max_held_requests: Annotated[Int, Ge(1), Le(100000)] = 1000
    """Requests that wait in one proxy at a time; further ones are answered 503 with Retry-After."""
    max_held_bytes: Quantity = "64Mi"
    """Bytes of these requests' bodies in one proxy that have come in; beyond that requests are answered 503. The rest
    of a body stays with its client until it is read."""
