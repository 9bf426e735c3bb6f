"""Request: what a deployment's `__call__` gets. A starlette Request with which old and new spellings work.

Small bodies are read before the handler starts, so that `request.json()` has an answer without waiting; it may be
used at once or awaited. Larger ones are read by whoever awaits `json()`, `body()` or iterates over `stream()`; a
handler in a pool thread may also use `json()` without `await`, and waits there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Mapping
from typing import Any, Final, NoReturn

from starlette.requests import ClientDisconnect
from starlette.requests import Request as StarletteRequest

from remora.compat import json as compat_json
from remora.errors import RemoraError
from remora.types import WHOLE_BODY, Message, Receive, Scope, Send

PRELOAD_BYTES: Final = 1 << 20
_NONE: Final[Mapping[str, Any]] = {}

_TRAVELS: Final = ("type", "http_version", "method", "path", "raw_path", "root_path", "query_string", "headers")
_TRAVELS_TOO: Final = ("scheme", "client", "server", "path_params")


class BadJson(json.JSONDecodeError):
    """The request's body is no JSON, although the handler asked for JSON: answered with 400."""


class Request(StarletteRequest):
    """One HTTP request."""

    def __init__(self, scope: Scope, receive: Receive | None = None, send: Send | None = None) -> None:
        """Wrap an ASGI request. Without `receive` it is one that came with its body from another replica."""
        if receive is None:
            super().__init__(scope)
        else:
            super().__init__(scope, receive, send or _no_push)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._early: list[Message] = []
        self._arrives_again = False
        """The body was taken from the scope, and is still to come as a message."""

    @property
    def _receive(self) -> Receive:
        """What Starlette reads from. Not kept: request and method would refer to each other, and to the body."""
        return self._replaying

    @_receive.setter
    def _receive(self, receive: Receive) -> None:
        self._inner_receive = receive

    async def preload(self, limit_bytes: int = PRELOAD_BYTES) -> None:
        """Read the body now if it is small, or is JSON and turns out to be small. What was read is not lost."""
        whole = self.scope.get("extensions", _NONE).get(WHOLE_BODY)
        if whole is not None:
            self._body = whole
            self._arrives_again = True
            return
        self._loop = asyncio.get_running_loop()
        length = self.headers.get("content-length")
        if length is None:
            chunked = "transfer-encoding" in self.headers or "content-type" in self.headers
            if chunked and not is_json(self.headers.get("content-type", "")):
                return
        elif not length.isdecimal() or int(length) > limit_bytes:
            return
        parts: list[bytes] = []
        size = 0
        while size <= limit_bytes:
            message = await self._inner_receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if not message.get("more_body", False):
                self._body = b"".join(parts)
                return
        self._early = [{"type": "http.request", "body": part, "more_body": True} for part in parts]

    def json(self) -> Any:
        """Return the parsed body: use it at once, or await it. Raises BadJson when it is no JSON."""
        if hasattr(self, "_json"):
            return compat_json.body(self._json)
        if hasattr(self, "_body"):
            return compat_json.body(self._parsed())
        if self._loop is not None and not _is_running(self._loop):
            # A pool thread: the loop reads, this thread waits.
            asyncio.run_coroutine_threadsafe(self.body(), self._loop).result()
            return compat_json.body(self._parsed())
        return PendingJson(self)

    def _parsed(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = parse(self._body)
        return self._json

    async def _replaying(self) -> Message:
        """Receive what `preload` had read already, then the rest."""
        if self._arrives_again:
            self._arrives_again = False
            await self._inner_receive()
        return self._early.pop(0) if self._early else await self._inner_receive()

    def __reduce__(self) -> Any:
        """Travel as an argument of a handle call, with the body."""
        if not hasattr(self, "_body"):
            raise RemoraError(
                "a request whose body was not read cannot be passed to another deployment: "
                "`await request.body()` first, or pass what you need of it"
            )
        scope = {key: self.scope[key] for key in (*_TRAVELS, *_TRAVELS_TOO) if key in self.scope}
        return _arrived, (scope, self._body)


class PendingJson:
    """Stands for the JSON of a body that is not there yet: it can be awaited, and says so when it is used."""

    __slots__ = ("_request",)

    def __init__(self, request: Request) -> None:
        self._request = request

    def __await__(self) -> Generator[Any, Any, Any]:
        """Read and parse the body."""
        return self._read().__await__()

    async def _read(self) -> Any:
        await self._request.body()
        return self._request._parsed()

    def _refuse(self, *_: object) -> NoReturn:
        raise RemoraError(
            "request.json() was used without `await`, and the body is too large to be read beforehand: "
            "write `(await request.json())[…]`"
        )

    __getitem__ = __iter__ = __len__ = __contains__ = __bool__ = __eq__ = __str__ = _refuse
    __hash__ = None  # type: ignore[assignment]  # nothing to hash yet

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse, saying what to write."""
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()


def parse(body: bytes) -> Any:
    """Return the JSON in the body, or raise BadJson."""
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise BadJson(error.msg, error.doc, error.pos) from None
    except UnicodeDecodeError as error:
        raise BadJson(f"not UTF-8: {error.reason}", body.decode(errors="replace"), error.start) from None


def _arrived(scope: Scope, body: bytes) -> Request:
    """Return a request as it was on the replica that it came from."""
    request = Request(dict(scope))
    request._body = body
    return request


def is_json(content_type: str) -> bool:
    """Return whether the media type is JSON, or one of its kind."""
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


async def _no_push(message: Message) -> None:
    raise RemoraError("this request has no connection to push to")
