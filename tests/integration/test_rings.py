"""What a request leaves on its replica is freed at once, its body above all, and does not wait for the collector."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from remora import serve
from remora.graph.build import build
from remora.replica.server import ReplicaServer
from remora.replica.user import Identity, UserCallable
from remora_api.wire import ReplicaAddress
from tests.fakes.processes import proxy, route
from tests.fakes.services import CONTROLLER, KEY, until

REQUESTS = 50
BODY = b"x" * 300_000


@serve.deployment
class Answers:
    async def __call__(self, request: Request) -> Any:
        match request.url.path:
            case "/text":
                return "text"
            case "/json":
                return {"size": len(await request.body())}
            case "/echo":
                return Response(await request.body())
            case "/late":
                return Response(b"".join([part async for part in request.stream()]))
            case "/stream":
                return StreamingResponse(self.parts())
            case _:
                raise ValueError("no such thing")

    async def parts(self) -> Any:
        for _ in range(10):
            yield b"part"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/text", b""),
        ("/json", b"{}"),
        ("/echo", b"small"),
        ("/echo", BODY),
        ("/late", BODY * 5),
        ("/stream", b""),
    ],
)
async def test_counting_references_is_enough(path: str, body: bytes) -> None:
    built = build(Answers.bind())
    definition = built.definitions[built.deployments[0].digest]
    creating = UserCallable.create(definition, Identity("app", "app#Answers#1", 10))
    server = ReplicaServer(
        await asyncio.create_task(creating),
        key=KEY,
        application="app",
        revision="r1",
        replica="app#Answers#1",
        max_ongoing_requests=10,
    )
    port = await server.start("127.0.0.1")
    address = ReplicaAddress(
        replica="app#Answers#1", host="127.0.0.1", port=port, max_ongoing_requests=10, revision="r1"
    )
    front = proxy()
    await front.start()
    try:
        route(front, [address])
        pool = front.router.cluster(CONTROLLER).ingress("app")
        assert pool is not None
        await until(lambda: pool.ready)
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)

        async def ask() -> None:
            writer.write(b"POST %s HTTP/1.1\r\nhost: x\r\n" % path.encode())
            writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head
            if b"chunked" in head:
                await reader.readuntil(b"0\r\n\r\n")
            else:
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)

        await ask()
        gc.collect()
        gc.disable()
        try:
            for _ in range(REQUESTS):
                await ask()
            assert gc.collect() < REQUESTS
        finally:
            gc.enable()
        writer.close()
    finally:
        await front.stop()
        await server.stop()
