"""PendingRequest: a call that looks for a replica, as request routers see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from remora.types import CallMetadata


@dataclass(frozen=True, slots=True)
class RequestMetadata:
    """What is known of a call beside its arguments."""

    request_id: str
    internal_request_id: str
    """Unique among calls: several calls may belong to one request."""
    call_method: str
    route: str
    app_name: str
    multiplexed_model_id: str
    session_id: str
    is_streaming: bool

    @classmethod
    def of(cls, call: CallMetadata, number: int, application: str) -> RequestMetadata:
        """Return the metadata of the call that is the number-th of this router."""
        return cls(
            call.request_id,
            f"{call.request_id}-{number}",
            call.method,
            call.route,
            application,
            call.multiplexed_model_id,
            call.session_id,
            call.stream,
        )


@dataclass(slots=True)
class RequestRoutingContext:
    """What was tried for a request already."""

    tried_same_node: bool = False
    tried_same_az: bool = False
    tried_first_multiplexed_models: bool = False
    tried_fewest_multiplexed_models: bool = False
    should_backoff: bool = False


@dataclass(slots=True, eq=False)
class PendingRequest:
    """One call and its arguments."""

    args: list[Any]
    kwargs: dict[Any, Any]
    metadata: RequestMetadata
    created_at: float = 0.0
    """On the event loop's clock."""
    routing_context: RequestRoutingContext = field(default_factory=RequestRoutingContext)
