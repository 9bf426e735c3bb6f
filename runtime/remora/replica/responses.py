"""What user code returned, as an HTTP response.

A starlette Response goes as it is; str and bytes as text/plain; None as an empty body; a generator as a stream of
text; everything else as JSON. As in Ray Serve, except that lengths are known and sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Any

from starlette.responses import Response, StreamingResponse

from remora.compat import json as compat_json
from remora.replica.encode import encode
from remora.replica.invoke import is_stream, items
from remora.transport.messages import Headers
from remora.types import Send

_TEXT = "text/plain; charset=utf-8"
_TEXT_BYTES = _TEXT.encode()


def of(value: Any, pool: Executor) -> Response:
    """Return the response for a handler's value; raises TypeError or ValueError when it cannot be encoded."""
    if isinstance(value, Response):
        return value
    if is_stream(value):
        return StreamingResponse(_chunks(value, pool), media_type=_TEXT)
    match value:
        case None:
            return Response(b"", media_type="text/plain")
        case bytes() | bytearray() | memoryview():
            return Response(bytes(value), media_type=None, headers={"content-type": "text/plain"})
        case str():
            return Response(str(value), media_type=_TEXT)
        case _:
            return Response(encode(compat_json.plain(value)), media_type="application/json")


def plain(value: Any) -> tuple[Headers, bytes] | None:
    """Return headers and body of what `of` makes of the commonest values, str and bytes; None for all others."""
    kind = type(value)
    if kind is str:
        body = value.encode()
        return [(b"content-type", _TEXT_BYTES), (b"content-length", b"%d" % len(body))], body
    if kind is bytes:
        return [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(value))], value
    return None


def failed(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    """Return a short answer for a request that was not served, and why: plain text, as Ray Serve's."""
    return Response(reason, status, headers=headers, media_type=_TEXT)


async def send_text(send: Send, status: int, text: str) -> None:
    """Answer with a short text."""
    body = text.encode()
    headers = [(b"content-type", _TEXT.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _chunks(value: Any, pool: Executor) -> AsyncIterator[bytes]:
    """Yield what the generator yields, as bytes: str encoded, other values as JSON."""
    async with aclosing(items(value, pool)) as produced:
        async for item in produced:
            yield _chunk(item)


def _chunk(item: Any) -> bytes:
    match item:
        case bytes() | bytearray() | memoryview():
            return bytes(item)
        case str():
            return item.encode()
        case _:
            return encode(item)
