"""Programs on replicas with real sockets between them: the router, the transport and the user's object together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from starlette.requests import Request

from remora import serve
from remora.graph import build
from remora.graph.application import Application
from remora.handle import DeploymentHandle, runtime
from remora.replica.server import ReplicaServer
from remora.replica.user import Identity, UserCallable
from remora.router.forward import forward
from remora.router.router import Router
from remora.transport.frames import MAX_PART_BYTES
from remora.transport.messages import Headers, RequestHead
from remora_api.wire import ApplicationRoutes, DeploymentRoutes, ReplicaAddress, RoutesSnapshot

KEY = "secret"


class Running:
    """An application whose every call crosses a socket."""

    def __init__(self, router: Router) -> None:
        self.router = router

    def handle(self, name: str) -> DeploymentHandle:
        return DeploymentHandle(name, "shop")

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Send a request as the proxy does, and return status and body."""
        pool = self.router.cluster("here").ingress("shop")
        assert pool is not None
        headers = [(b"content-length", str(len(body)).encode())]
        head = RequestHead("http", "POST", "/", b"/", b"", "", "http", "1.1", headers, None, None, "r-1")
        asking = Asking(body)
        status = await forward(pool, head, body if len(body) <= MAX_PART_BYTES else None, asking, [])
        return status, bytes(asking.answered)


class Asking:
    """A client that sends its body in pieces, and keeps the answer."""

    def __init__(self, body: bytes) -> None:
        self.answered = bytearray()
        self._pieces = [body[i : i + MAX_PART_BYTES] for i in range(0, len(body), MAX_PART_BYTES)]

    def answer(self, status: int, headers: Headers, body: bytes) -> bool:
        self.answered += body
        return True

    async def begin(self, status: int, headers: Headers, pieces: list[bytes], *, more: bool) -> None:
        self.answered += b"".join(pieces)

    async def go_on(self, pieces: list[bytes], *, more: bool) -> None:
        self.answered += b"".join(pieces)

    async def read(self) -> tuple[list[bytes], bool]:
        piece = self._pieces.pop(0)
        return [piece], bool(self._pieces)


@asynccontextmanager
async def running(app: Application) -> AsyncIterator[Running]:
    """Serve each deployment of the application on a port of its own."""
    built = build.build(app)
    router = Router(KEY, rng=Random(1))
    runtime.set_caller(router, asyncio.get_running_loop())
    servers: list[ReplicaServer] = []
    objects: list[UserCallable] = []
    routes: list[DeploymentRoutes] = []
    try:
        for one in built.deployments:
            name, limit = f"shop#{one.name}#1", one.max_ongoing_requests
            creating = UserCallable.create(built.definitions[one.digest], Identity("shop", name, limit))
            user = await asyncio.create_task(creating)
            server = ReplicaServer(
                user, key=KEY, application="shop", revision="1", replica=name, max_ongoing_requests=limit
            )
            address = ReplicaAddress(
                replica=name,
                host="127.0.0.1",
                port=await server.start("127.0.0.1"),
                max_ongoing_requests=limit,
                revision="1",
            )
            servers.append(server)
            objects.append(user)
            routes.append(DeploymentRoutes(name=one.name, replicas=(address,)))
        shop = ApplicationRoutes(application="shop", ingress=built.ingress, deployments=tuple(routes))
        router.cluster("here").update(RoutesSnapshot(epoch="1", version=1, applications=(shop,)))
        yield Running(router)
    finally:
        for server in servers:
            await server.stop()
        for user in objects:
            await user.close()
        await router.close()
        runtime.set_caller(None)


@serve.deployment
class Upper:
    def __call__(self, request):  # type: ignore[no-untyped-def]
        return request.json()["text"].upper()


@serve.deployment
class Exclaims:
    async def __call__(self, request):  # type: ignore[no-untyped-def]
        return f"{await request.json()['text']}!"


async def test_a_chain_answers_over_http_and_by_handle() -> None:
    async with running(Upper.bind().then(Exclaims.bind()).then(lambda_length)) as app:
        assert await app.post(json.dumps({"text": "hello"}).encode()) == (200, b'{"text":"HELLO!","length":6}')
        assert await app.handle("Upper").remote({"text": "you"}) == {"text": "YOU!", "length": 4}
        assert (await app.post(b"no"))[0] == 400


def lambda_length(text: str) -> dict[str, Any]:
    return {"text": text, "length": len(text)}


@serve.deployment
class Worker:
    def fail(self) -> None:
        raise LookupError("nothing here")

    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    def size(self, data: bytes) -> int:
        return len(data)


@serve.deployment
class Front:
    def __init__(self, worker: Any) -> None:
        self.worker = worker

    async def __call__(self, request: Request) -> Any:
        return await self.worker.size.remote(await request.body())

    async def counted(self, to: int) -> list[int]:
        return [item async for item in self.worker.options(stream=True).count.remote(to)]

    async def failing(self) -> None:
        await self.worker.fail.remote()

    def from_a_thread(self) -> Any:
        return self.worker.size.remote(b"123").result(timeout_s=5)


async def test_handles_call_stream_and_raise_across_sockets() -> None:
    async with running(Front.bind(Worker.bind())) as app:
        front = app.handle("Front")
        assert await front.counted.remote(50) == list(range(50))
        assert await front.from_a_thread.remote() == 3
        with pytest.raises(LookupError, match="nothing here") as raised:
            await front.failing.remote()
        cause = raised.value.__cause__
        assert cause is not None
        assert "deployment 'Worker' raised LookupError" in str(cause.__cause__ or cause)


async def test_a_body_of_megabytes_arrives_whole() -> None:
    async with running(Front.bind(Worker.bind())) as app:
        assert await app.post(b"x" * 5_000_000) == (200, b"5000000")
        assert await app.post(b"x" * 900_000) == (200, b"900000")
        assert await app.post(b"") == (200, b"0")


async def test_calls_beyond_the_limit_wait_for_their_turn() -> None:
    async with running(Front.bind(Worker.options(max_ongoing_requests=2).bind())) as app:
        results = await asyncio.gather(*(app.handle("Worker").size.remote(b"x" * n) for n in range(50)))
        assert results == list(range(50))
