"""The request that user code is working on: known to the code, passed on by its handle calls, ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Final

from remora import headers
from remora.types import CallMetadata, Scope

_HEADERS: Final = {
    headers.REQUEST_ID: "request_id",
    **headers.TRACES_ON_THE_WIRE,
    **dict.fromkeys(headers.MODEL_IDS, "model"),
    **dict.fromkeys(headers.SESSION_IDS, "session"),
}


@dataclass(frozen=True, slots=True, eq=False)
class RequestContext:
    """One request, on the replica that works on it."""

    request_id: str = ""
    route: str = ""
    app_name: str = ""
    multiplexed_model_id: str = ""
    session_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Trace headers."""
    calls: set[asyncio.Task[object]] = field(default_factory=set)
    """Handle calls under way on its behalf."""

    @classmethod
    def of_call(cls, metadata: CallMetadata, app_name: str) -> RequestContext:
        """Return the context of a handle call."""
        return cls(
            request_id=metadata.request_id,
            route=metadata.route,
            app_name=app_name,
            multiplexed_model_id=metadata.multiplexed_model_id,
            session_id=metadata.session_id,
            headers=metadata.headers,
        )

    @classmethod
    def of_http(cls, scope: Scope, app_name: str) -> RequestContext:
        """Return the context that an HTTP request brings along in its headers."""
        known = _HEADERS
        text = {known[name]: value.decode("latin-1") for name, value in scope.get("headers", ()) if name in known}
        request_id = text.pop("request_id", "")
        route = scope.get("root_path") or "/"
        if not text:
            return cls(request_id, route, app_name)
        return cls(
            request_id=request_id,
            route=route,
            app_name=app_name,
            multiplexed_model_id=text.pop("model", ""),
            session_id=text.pop("session", ""),
            headers=text,
        )

    def for_batch(self) -> RequestContext:
        """Return the context of a batch of which this request is the oldest: its calls outlive each single request."""
        return replace(self, calls=set())

    def cancel_calls(self) -> None:
        """End all calls made for this request: nobody waits for them any more."""
        for task in tuple(self.calls):
            task.cancel()


_request: ContextVar[RequestContext | None] = ContextVar("remora_request", default=None)


def current() -> RequestContext:
    """Return the request that this task or thread works on; an empty one outside of requests."""
    return _request.get() or RequestContext()


def enter(context: RequestContext) -> None:
    """Make the context that of the current task, and of the tasks and pool threads that it starts."""
    _request.set(context)
