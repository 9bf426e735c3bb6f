"""The proxy process as pods run it: keys and routing from files, addresses from a controller by long poll."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from remora.errors import DeploymentUnavailable, MisuseError
from remora.replica.config import Way
from remora.router import addresses
from remora.router.router import Router
from remora.signed_app import signed
from remora.types import CallMetadata, Payload
from remora.visitor import Visitor
from remora_api.wire import ApplicationRouting, ControllerEndpoint, ReplicaAddress, RoutesSnapshot, Routing
from tests.fakes.processes import answered, proxy_process
from tests.fakes.services import KEY, Steered, replica, snapshot, until


class FakeController:
    """Answers ``GET /v1/routes`` as the wire says; knows nothing but its snapshot."""

    def __init__(self) -> None:
        self.snapshot = RoutesSnapshot(epoch="e1", version=0)
        self.polls = 0
        self._changed = asyncio.Event()

    def publish(self, addresses: list[ReplicaAddress], *, epoch: str | None = None) -> None:
        version = self.snapshot.version + 1 if epoch is None else 1
        made = snapshot(version, addresses)
        self.snapshot = made.but(epoch=epoch or self.snapshot.epoch)
        self._changed.set()
        self._changed = asyncio.Event()

    async def routes(self, request: Request, body: bytes) -> Response:
        self.polls += 1
        query = request.query_params
        deadline = asyncio.get_running_loop().time() + float(query["timeout_s"])
        while (self.snapshot.epoch, self.snapshot.version) == (query["epoch"], int(query["after"])):
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return Response(status_code=204)
        return Response(self.snapshot.to_json(), media_type="application/json")

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[int]:
        app = Starlette(routes=[Route("/v1/routes", signed(self.routes, keys=lambda: (KEY,)))])
        config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=0)
        with socket.create_server(("127.0.0.1", port)) as listening:
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve(sockets=[listening]))
            await until(lambda: server.started)
            try:
                yield listening.getsockname()[1]
            finally:
                server.should_exit = True
                await task


async def name_of(router: Router) -> str:
    return (await router.call("app", "Main", CallMetadata(method="name"), Payload(b""))).data.decode()


async def test_a_router_is_told_once_its_first_snapshot_has_come() -> None:
    controller, router = FakeController(), Router(KEY)
    async with controller.listening() as port:
        pass
    router.follow([f"http://127.0.0.1:{port}"])
    assert not await router.is_told(0.05), "the controller does not listen yet"
    async with controller.listening(port):
        assert await router.is_told(20)
        await router.close()


async def test_a_controller_that_has_been_away_for_long_is_asked_at_once_when_somebody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "LAST_RETRY_S", 3600.0)
    monkeypatch.setattr(addresses, "GROWTH", 1e9)
    asked = 0

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.close()

    controller, router = FakeController(), Router(KEY, hold_s=20)
    async with replica(Steered("served")) as (_, address):
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as away:
            port = away.sockets[0].getsockname()[1]
            router.follow([f"http://127.0.0.1:{port}"])
            # The next attempt would be an hour later.
            await until(lambda: asked >= 2)
        async with controller.listening(port):
            controller.publish([address])
            assert await name_of(router) == "served"
            await router.close()


async def test_the_last_snapshot_stays_while_the_controller_is_away_and_a_new_epoch_is_followed() -> None:
    controller = FakeController()
    async with replica(Steered("old")) as (_, old), replica(Steered("new"), name="app#Main#2") as (_, new):
        router = Router(KEY, hold_s=5)
        async with controller.listening() as port:
            router.follow([f"http://127.0.0.1:{port}"])
            controller.publish([old])
            assert await name_of(router) == "old"
            controller.publish([old, new])
            await until(lambda: controller.polls >= 3)
        assert await name_of(router) in ("old", "new"), "the controller is away"
        async with controller.listening(port):
            controller.publish([new], epoch="e2")
            async with asyncio.timeout(10):
                while {await name_of(router) for _ in range(10)} != {"new"}:  # noqa: ASYNC110 - asks, as a client does
                    await asyncio.sleep(0.05)
        await router.close()


async def test_the_process_reads_its_file_follows_its_controller_logs_and_leaves_on_sigterm(tmp_path: Path) -> None:
    controller, file = FakeController(), tmp_path / "routing.json"
    async with replica(Steered("served")) as (_, address), controller.listening() as port:
        with proxy_process(tmp_path, "--routing-file", str(file), "--lame-s", "0.1", "--quiet-s", "0.1") as (
            process,
            public,
            admin,
        ):
            assert "no routing yet" in (await answered(f"http://127.0.0.1:{admin}/readyz", 503)).text
            application = ApplicationRouting(
                application="app", controllers=(ControllerEndpoint(url=f"http://127.0.0.1:{port}"),)
            )
            file.write_bytes(Routing(version=1, applications=(application,)).to_json())
            await answered(f"http://127.0.0.1:{admin}/readyz", 200)
            await answered(f"http://127.0.0.1:{public}/", 503)
            controller.publish([address])
            assert (await answered(f"http://127.0.0.1:{public}/x?y=z", 200)).text == "served"
            process.send_signal(signal.SIGTERM)
            output, errors = await asyncio.to_thread(process.communicate, timeout=10)
        assert process.returncode == 0, errors.decode()
        lines = [json.loads(line) for line in output.splitlines()]
        last = lines[-1]
        assert (last["status"], last["path"], last["application"], last["error"]) == (200, "/x", "app", None)
        assert last["duration_ms"] > 0
        assert lines[0]["status"] == 503


async def test_a_process_whose_replica_stands_still_sends_nothing_new_there(tmp_path: Path) -> None:
    """A stopped process keeps its host: its requests are not failed, but others go elsewhere."""
    from tests.fakes.processes import Process, run_replica

    with Process(run_replica, "app#Main#1", 0) as still, Process(run_replica, "app#Main#2", 0) as lively:
        router = Router(KEY, hold_s=5)
        router.cluster("c").update(snapshot(1, [ReplicaAddress(**process.ready) for process in (still, lively)]))
        pool = router.cluster("c").ingress("app")
        assert pool is not None
        await until(lambda: pool.ready == 2)
        still.signal(signal.SIGSTOP)
        started = time.monotonic()
        await until(lambda: pool.ready == 1, within_s=8)
        assert 2 < time.monotonic() - started < 6
        assert {await name_of(router) for _ in range(20)} == {"app#Main#2"}
        still.signal(signal.SIGCONT)
        await until(lambda: pool.ready == 2, within_s=5)
        await router.close()


@pytest.mark.parametrize("content", ["{", '{"version": "x"}', ""])
async def test_a_broken_routing_file_stops_nothing(tmp_path: Path, content: str) -> None:
    file = tmp_path / "routing.json"
    file.write_text(content)
    with proxy_process(tmp_path, "--routing-file", str(file)) as (_, _, admin):
        await answered(f"http://127.0.0.1:{admin}/healthz", 200)
        await answered(f"http://127.0.0.1:{admin}/readyz", 503)


async def test_a_visitor_follows_the_application_to_a_new_controller(tmp_path: Path) -> None:
    """A worker of Ray outlives the instance that its first task called; its next task finds the next instance."""
    key = tmp_path / "data.key"
    key.write_text(f"{KEY}\n")
    asked: list[str] = []
    ways: list[Way | None] = []

    def find(application: str) -> Way | None:
        asked.append(application)
        return ways[-1]

    visitor = Visitor(find)

    async def name() -> str:
        return (await visitor.call("app", "Main", CallMetadata(method="name"), Payload(b""))).data.decode()

    try:
        async with replica(Steered("old")) as (_, old), (controller := FakeController()).listening() as port:
            controller.publish([old])
            ways.append(Way(f"http://127.0.0.1:{port}", str(key)))
            assert [await name(), await name()] == ["old", "old"]
            assert asked == ["app"]
        await until(lambda: not visitor.knows("app", "Main"))
        async with (
            replica(Steered("new"), name="app#Main#2") as (_, new),
            (controller := FakeController()).listening() as port,
        ):
            controller.publish([new])
            ways.append(Way(f"http://127.0.0.1:{port}", str(key)))
            assert await name() == "new"
    finally:
        await visitor.close()


async def test_a_visitor_says_why_it_cannot_call(tmp_path: Path) -> None:
    ways = {"unreadable": Way("http://127.0.0.1:9", str(tmp_path / "none")), "in-no-file": Way("http://here", "")}
    visitor = Visitor(ways.get)
    for application, error, words in (
        ("nowhere", DeploymentUnavailable, "'nowhere' cannot be called from this process"),
        ("unreadable", MisuseError, "none cannot be read here"),
        ("in-no-file", MisuseError, "not in a file"),
    ):
        with pytest.raises(error, match=words):
            await visitor.call(application, "Main", CallMetadata(), Payload(b""))
