"""What gRPC methods of a deployment get: the call's context and its stream of messages. `ray.serve.grpc_util`.

Needs `grpc` only for the names of status codes, which whoever uses gRPC has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Metadata = tuple[tuple[str, str | bytes], ...]


class RayServegRPCContext:
    """One call, as `grpc.ServicerContext` shows it: ask for it with a parameter `grpc_context`.

    Code, details and trailing metadata that a method sets reach the client, also when it raises afterwards.
    """

    def __init__(self, *, metadata: Metadata = (), peer: str = "", request_id: str = "") -> None:
        """Describe a call that came with this metadata from this peer."""
        self._metadata = metadata
        self._known = dict(metadata)
        self._peer = peer
        self._request_id = request_id
        self._code: Any = None
        self._details = ""
        self._trailing: Metadata = ()

    def invocation_metadata(self) -> list[tuple[str, str | bytes]]:
        """Return what the client sent along."""
        return list(self._metadata)

    def application(self) -> str | None:
        """Return the application that the client named, if it did."""
        return self._text("application")

    def request_id(self) -> str | None:
        """Return the id of the request, the client's or the proxy's."""
        return self._request_id or self._text("request_id")

    def multiplexed_model_id(self) -> str | None:
        """Return the model that the client asks for, if it does."""
        return self._text("multiplexed_model_id")

    def session_id(self) -> str | None:
        """Return the session that the client names, if it does."""
        return self._text("session_id")

    def traceparent(self) -> str | None:
        """Return the W3C trace context, if there is one."""
        return self._text("traceparent")

    def tracestate(self) -> str | None:
        """Return the rest of the trace context, if there is one."""
        return self._text("tracestate")

    def peer(self) -> str:
        """Return the client's address as gRPC writes it."""
        return self._peer

    def auth_context(self) -> dict[str, Any]:
        """Return nothing: clients are not authenticated here."""
        return {}

    def peer_identities(self) -> Iterable[bytes] | None:
        """Return None: clients are not authenticated here."""
        return None

    def peer_identity_key(self) -> str | None:
        """Return None: clients are not authenticated here."""
        return None

    def code(self) -> Any:
        """Return the `grpc.StatusCode` that was set, or None."""
        return self._code

    def set_code(self, code: Any) -> None:
        """Set the status with which the call ends, a `grpc.StatusCode`."""
        self._code = code

    def details(self) -> str:
        """Return the sentence that was set."""
        return self._details

    def set_details(self, details: str) -> None:
        """Set the sentence that goes with the status."""
        self._details = details

    def trailing_metadata(self) -> list[tuple[str, str | bytes]]:
        """Return what was set to be sent at the end."""
        return list(self._trailing)

    def set_trailing_metadata(self, trailing_metadata: Iterable[Sequence[Any]]) -> None:
        """Send these pairs at the end, beside the request's id."""
        self._trailing = tuple((str(key), value) for key, value in trailing_metadata)

    def set_compression(self, compression: Any) -> None:
        """Do nothing: answers are not compressed."""

    def _text(self, key: str) -> str | None:
        value = self._known.get(key)
        return value if isinstance(value, str) else None


class gRPCInputStream(AsyncIterator[T], Generic[T]):
    """The client's messages, one at a time, as far as they are read."""

    def __init__(self, messages: AsyncIterator[T]) -> None:
        """Give out these messages."""
        self._messages = messages
        self._cancelled = False
        self._exhausted = False

    def __aiter__(self) -> gRPCInputStream[T]:
        """Return itself."""
        return self

    async def __anext__(self) -> T:
        """Return the next message."""
        if self._cancelled or self._exhausted:
            raise StopAsyncIteration
        try:
            return await anext(self._messages)
        except StopAsyncIteration:
            self._exhausted = True
            raise

    def cancel(self) -> None:
        """Give out nothing more."""
        self._cancelled = True

    def is_cancelled(self) -> bool:
        """Return whether `cancel` was called."""
        return self._cancelled

    @property
    def is_exhausted(self) -> bool:
        """Whether the client has sent its last message and it was read."""
        return self._exhausted
