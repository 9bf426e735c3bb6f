"""Signed endpoints for starlette: the server's half of `remora_api.signing`; `http_client` is the other half.

    Route("/v1/routes", signed(routes, keys=lambda: (data_key,)), methods=["GET"])

The handler gets the request and its body only after the signature was checked, and its answer is signed.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from remora_api import signing

MAX_BODY_BYTES = 16 * 1024 * 1024

Handler = Callable[[Request, bytes], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def signed(
    handler: Handler,
    *,
    keys: Callable[[], Iterable[str]],
    max_body_bytes: int = MAX_BODY_BYTES,
    clock: Callable[[], float] | None = None,
) -> Endpoint:
    """Return the endpoint that lets holders of one of ``keys`` through to ``handler``, which gets the body as bytes.

    ``keys`` is asked at each request, so that keys can rotate. Streaming responses cannot be signed and must not be
    returned. An HTTPException of the handler becomes a signed ``{"error": detail}``.
    """
    now = clock or time.time  # noqa: TID251 - the edge: signatures carry wall-clock time

    async def endpoint(request: Request) -> Response:
        body = await _body(request, max_body_bytes)
        if body is None:
            return JSONResponse({"error": f"the body is larger than {max_body_bytes} bytes"}, 413)
        target = _target(request)
        reason = "no key is configured"
        for key in keys():
            try:
                signing.check_request(key, request.method, target, body, request.headers, now_s=int(now()))
            except signing.BadSignature as error:
                reason = str(error)
                continue
            return _sign(await _answer(handler, request, body), key, request)
        return JSONResponse({"error": reason}, 401)

    return endpoint


async def _answer(handler: Handler, request: Request, body: bytes) -> Response:
    try:
        return await handler(request, body)
    except HTTPException as error:
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


def _sign(response: Response, key: str, request: Request) -> Response:
    nonce = request.headers[signing.NONCE_HEADER]
    response.headers.update(signing.response_headers(key, nonce, response.status_code, bytes(response.body)))
    return response


async def _body(request: Request, limit: int) -> bytes | None:
    """Read the body, or return None as soon as it exceeds the limit."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                return None
            parts.append(part)
    except ClientDisconnect as error:
        raise HTTPException(400, "the client went away while it sent the body") from error
    return b"".join(parts)


def _target(request: Request) -> str:
    """Return path and query as the client sent them."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope.get("query_string", b"")
    return (raw + b"?" + query if query else raw).decode("latin-1")
