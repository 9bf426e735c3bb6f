"""What Knative serves in benchmarks/knative: zero.py as a bare ASGI application."""

import asyncio
import os
import socket
import time
from urllib.parse import parse_qs

time.sleep(float(os.environ.get("CONSTRUCTOR_S", "0")))
ANSWER = socket.gethostname().encode()
HEADERS = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(ANSWER)).encode())]


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    seconds = float(parse_qs(scope["query_string"]).get(b"seconds", [b"0"])[0])
    if seconds:
        await asyncio.sleep(seconds)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})
