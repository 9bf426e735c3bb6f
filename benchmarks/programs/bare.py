"""The same work as plain ASGI applications, for bare uvicorn: nothing between the server and the work."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI

PLAIN = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
BYTES = (b"content-type", b"application/octet-stream")
CHUNK = b"x" * 100

fastapi_ingress = FastAPI()


@fastapi_ingress.get("/")
async def hello(name: str = "world"):  # type: ignore[no-untyped-def]
    return {"hello": name}


async def noop(scope, receive, send):  # type: ignore[no-untyped-def]
    await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
    await send({"type": "http.response.body", "body": b"ok"})


async def awaits(scope, receive, send):  # type: ignore[no-untyped-def]
    await asyncio.sleep(0)
    await noop(scope, receive, send)


async def echo(scope, receive, send):  # type: ignore[no-untyped-def]
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(parts)
    headers = [BYTES, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def chunks(scope, receive, send):  # type: ignore[no-untyped-def]
    await send({"type": "http.response.start", "status": 200, "headers": [BYTES]})
    for _ in range(1000):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
