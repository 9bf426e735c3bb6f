"""Signed HTTP to a controller or a proxy's admin port: the client's half of `remora_api.signing`.

Used by whatever long-polls or pushes over HTTP (`router.addresses`, replicas, the command line); `signed_app` is the
other half. Answers count only with a valid signature, so nobody on the address of a controller that moved is believed.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from remora.errors import RemoraError
from remora.http_connection import Connections
from remora_api import signing

CONNECT_TIMEOUT_S = 3.0
DEFAULT_TIMEOUT_S = 10.0
MAX_REASON_CHARS = 500


class HttpError(RemoraError):
    """Base of what a signed request can end with, besides its answer."""


class Unreachable(HttpError):
    """Nobody answered in time: try again later."""


class Untrusted(HttpError):
    """Whoever answered does not hold the key."""


class Rejected(HttpError):
    """The other side understood and said no; ``status`` and ``reason`` are its words (and may be unsigned)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """A trusted answer below 400. A long poll that timed out is 204 with no body."""

    status: int
    body: bytes


def target(path: str, query: Mapping[str, object] | None = None) -> str:
    """Return path and query as they are sent and signed."""
    return f"{path}?{urlencode({name: str(value) for name, value in query.items()})}" if query else path


class SignedClient:
    """Requests to one base URL, signed with one key. Use it as an async context manager, or `close` it."""

    def __init__(self, base_url: str, key: str, *, clock: Callable[[], float] | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self._key = key
        self._clock = clock or time.time  # noqa: TID251 - the edge: signatures carry wall-clock time
        self._prefix = urlsplit(self.base_url).path
        self._connections: Connections | None = None

    def __repr__(self) -> str:
        return f"<SignedClient {self.base_url}>"

    async def __aenter__(self) -> SignedClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        connections, self._connections = self._connections, None
        if connections is not None:
            connections.close()

    async def get(
        self, path: str, query: Mapping[str, object] | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Answer:
        """Read. For a long poll, ``timeout_s`` must exceed the time that the server may take."""
        return await self.request("GET", target(path, query), timeout_s=timeout_s)

    async def put(self, path: str, body: bytes, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Answer:
        """Write a JSON document."""
        return await self.request("PUT", path, body, timeout_s=timeout_s)

    async def delete(self, path: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Answer:
        """Delete."""
        return await self.request("DELETE", path, timeout_s=timeout_s)

    async def request(
        self, method: str, target: str, body: bytes = b"", *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Answer:
        """Send one request and return its trusted answer. Raises Unreachable, Untrusted or Rejected; never retries."""
        nonce = secrets.token_hex(16)
        headers = signing.request_headers(self._key, method, target, body, now_s=int(self._clock()), nonce=nonce)
        if body:
            headers["Content-Type"] = "application/json"
        where = f"{method} {self.base_url}{target}"
        try:
            if self._connections is None:
                self._connections = Connections(self.base_url, CONNECT_TIMEOUT_S)
            async with asyncio.timeout(timeout_s):
                response = await self._connections.request(method, self._prefix + target, headers, body)
        except (OSError, ValueError) as error:
            raise Unreachable(f"{where}: {str(error) or type(error).__name__}") from error
        status, content, given = response.status, response.body, response.headers
        if status >= 300:
            reason = content[:MAX_REASON_CHARS].decode(errors="replace")
            raise Rejected(status, reason, f"{where}: {status} {reason}")
        try:
            signing.check_response(self._key, nonce, status, content, given)
        except signing.BadSignature as error:
            raise Untrusted(f"{where}: {error}") from error
        return Answer(status, content)
