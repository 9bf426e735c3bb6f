"""The data plane's servers as processes of their own, for tests that kill them or weigh their memory."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import uvloop

from remora.proxy.server import ProxyServer
from remora.proxy.settings import Settings
from remora_api.wire import ApplicationRouting, ControllerEndpoint, ReplicaAddress, Routing
from tests.fakes.services import CONTROLLER, KEY, Steered, replica, snapshot, until

if TYPE_CHECKING:
    from remora.tracing.tracer import Tracer


def run_replica(ready: Connection, name: str, stall_s: float) -> None:
    """A replica that stalls its loop for ``stall_s`` when it is asked for ``/stall``, and then exits."""

    class Stalling(Steered):
        async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/stall":
                time.sleep(stall_s)  # noqa: ASYNC251 - user code that blocks its loop is what is tested
            await super().asgi(scope, receive, send)

    async def serve() -> None:
        async with replica(Stalling(name), name=name, max_ongoing_requests=1000) as (_, address):
            ready.send(address.to_plain())
            await asyncio.Event().wait()

    uvloop.run(serve())


def run_proxy(ready: Connection, addresses: list[dict[str, Any]], settings: dict[str, Any]) -> None:
    """A proxy that is routed to these replicas and drains on SIGTERM."""

    async def serve() -> None:
        server = proxy(**settings)
        await server.start()
        route(server, [ReplicaAddress(**address) for address in addresses])
        assert "ray" not in sys.modules
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        ready.send((server.port, server.admin_port))
        await stopped.wait()
        await server.drain()
        await server.stop()

    uvloop.run(serve())


def proxy(*, tracer: Tracer | None = None, **settings: Any) -> ProxyServer:
    """Return a proxy on free ports of loopback, without a log."""
    defaults = {"host": "127.0.0.1", "port": 0, "admin_port": 0, "lame_s": 0.2, "quiet_s": 0.3, "hold_s": 0.3}
    defaults |= {"access_log": False, "proxy_key": "proxy-key"}
    chosen = Settings(data_key=KEY, **{**defaults, **settings})
    return ProxyServer(chosen, write=lambda lines: None, wall_clock=time.time, tracer=tracer)


def route(server: ProxyServer, addresses: list[ReplicaAddress], **routing: Any) -> None:
    """Route everything to one application with these replicas."""
    server.router.cluster(CONTROLLER).update(snapshot(1, addresses))
    application = ApplicationRouting(application="app", controllers=(ControllerEndpoint(url=CONTROLLER),), **routing)
    server.routing.apply(Routing(version=max(0, server.routing.version) + 1, applications=(application,)))


async def reached(server: ProxyServer, *addresses: ReplicaAddress, **routing: Any) -> None:
    """Route everything to one application with these replicas, and wait until the proxy has reached one."""
    route(server, list(addresses), **routing)
    pool = server.router.cluster(CONTROLLER).ingress("app")
    assert pool is not None
    await until(lambda: pool.ready)


@asynccontextmanager
async def serving(
    *addresses: ReplicaAddress, settings: dict[str, Any] | None = None, **routing: Any
) -> AsyncIterator[tuple[ProxyServer, httpx.AsyncClient]]:
    """A proxy that has reached a replica, if there are any, and a client of it."""
    server = proxy(**settings or {})
    await server.start()
    try:
        if addresses:
            await reached(server, *addresses, **routing)
        else:
            route(server, [], **routing)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
            yield server, client
    finally:
        await server.stop()


class Process:
    """A server in a process of its own; ends with the block."""

    def __init__(self, run: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=run, args=(theirs, *arguments), daemon=True)
        self._process.start()
        if not ours.poll(30):
            raise TimeoutError(f"{run.__name__} did not start")
        self.ready: Any = ours.recv()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    @property
    def resident_mib(self) -> float:
        """Memory that the process holds now."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise ProcessLookupError(self._process.pid)


@contextmanager
def proxy_process(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """Run the proxy's main in a process of its own; also asserts that it never imports Ray."""
    key_file = folder / "key"
    key_file.write_text(KEY)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = one.getsockname()[1], two.getsockname()[1]
    code = (
        "import sys; from remora.proxy import main; code = main(sys.argv[1:]);"
        "assert not {'ray', 'cloudpickle'} & sys.modules.keys(), 'a proxy must not import them'; sys.exit(code)"
    )
    options = ["--host", "127.0.0.1", "--port", str(ports[0]), "--admin-port", str(ports[1])]
    options += ["--data-key-file", str(key_file), *arguments]
    process = subprocess.Popen([sys.executable, "-c", code, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process, *ports
    finally:
        process.kill()
        process.communicate()


async def answered(url: str, status: int, *, within_s: float = 10) -> httpx.Response:
    """Ask until the status comes."""
    async with httpx.AsyncClient() as client, asyncio.timeout(within_s):
        while True:
            try:
                answer = await client.get(url)
            except httpx.ConnectError:
                answer = None
            if answer is not None and answer.status_code == status:
                return answer
            await asyncio.sleep(0.05)
