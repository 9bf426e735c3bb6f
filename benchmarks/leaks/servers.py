"""The processes that are watched: a proxy, a replica that calls, and one that is called. Each tells what it holds.

No controller and no Ray: what they would tell is put into the routers, and what they keep is theirs.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from remora.local import fixed
from remora_api.wire import ApplicationRoutes

if TYPE_CHECKING:
    from remora.replica.server import ReplicaServer
    from remora.router.router import Router

KEY = "leaks"
APP = "leaks"
START_S = 30.0


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds while nothing is asked of it."""

    tasks: int
    streams: int
    """Open ones, on all connections, either way."""
    waiting: int
    """Requests that wait for a replica."""
    ongoing: int
    """Requests that count as being worked on."""
    connections: int
    """From clients or callers."""
    links: int
    """To replicas."""
    files: int
    objects: int
    """That the garbage collector knows of, after it has run."""
    resident_mb: float


class Watched:
    """A server in a process of its own; it ends with the block."""

    def __init__(self, name: str, serve: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, *arguments), daemon=True)
        self._process.start()
        if not self._pipe.poll(START_S):
            self.__exit__(None, None, None)
            raise TimeoutError(f"{name} did not start within {START_S:g} s")
        self.port: int = self._pipe.recv()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.join()

    def held(self) -> Held:
        """Ask it."""
        self._pipe.send("held")
        if not self._pipe.poll(START_S):
            raise TimeoutError(f"{self.name} does not say what it holds")
        found: Held = self._pipe.recv()
        return found


def serve_replica(pipe: Connection, deployment: str, callees: dict[str, int]) -> None:
    """Serve one deployment of the program; it finds the others at these ports."""
    _serve(pipe, lambda: _replica(deployment, callees))


def serve_proxy(pipe: Connection, ports: dict[str, int]) -> None:
    """Serve the program's ingress, with everything on but a file for the access log."""
    _serve(pipe, lambda: _proxy(ports))


async def _replica(deployment: str, callees: dict[str, int]) -> tuple[int, Callable[[], Held]]:
    import remora.compat.alias
    from remora.graph.build import build
    from remora.handle import runtime
    from remora.replica.server import ReplicaServer
    from remora.replica.user import Identity, UserCallable
    from remora.router.router import Router

    remora.compat.alias.install()
    built = build(import_module("benchmarks.programs.leaks").app)
    digest = next(it.digest for it in built.deployments if it.name == deployment)
    router = Router(KEY)
    runtime.set_caller(router, asyncio.get_running_loop())
    fixed.tell(router, [_routes(callees)])
    replica = fixed.replica_id(APP, deployment)
    # A task of its own: it sets context variables.
    creating = UserCallable.create(built.definitions[digest], Identity(APP, replica, 1000))
    user = await asyncio.create_task(creating)
    server = ReplicaServer(user, key=KEY, application=APP, revision="1", replica=replica, max_ongoing_requests=1000)
    return await server.start("127.0.0.1"), lambda: _held(router, server.connections, server.ongoing, _streams(server))


async def _proxy(ports: dict[str, int]) -> tuple[int, Callable[[], Held]]:
    import time

    from remora.proxy.server import ProxyServer
    from remora.proxy.settings import Settings

    settings = Settings(data_key=KEY, host="127.0.0.1", port=0, admin_port=0, access_log=True)
    server = ProxyServer(settings, write=lambda lines: None, wall_clock=time.time)
    await server.start()
    fixed.tell(server.router, [_routes(ports)])
    fixed.route(server, [fixed.routing(APP)])
    clients = server._state.connections
    return server.port, lambda: _held(server.router, clients, server.metrics.ongoing, 0)


def _serve(pipe: Connection, start: Callable[[], Any]) -> None:
    import uvloop

    async def serve() -> None:
        port, held = await start()

        def answer() -> None:
            try:
                pipe.recv()
            except EOFError:
                os._exit(0)
            pipe.send(held())

        asyncio.get_running_loop().add_reader(pipe.fileno(), answer)
        pipe.send(port)
        await asyncio.Event().wait()

    uvloop.run(serve())


def _routes(ports: dict[str, int]) -> ApplicationRoutes:
    deployments = tuple(
        fixed.deployment_routes(APP, name, port, max_ongoing_requests=1000, max_queued_requests=2000)
        for name, port in ports.items()
    )
    return ApplicationRoutes(application=APP, ingress="Caller", deployments=deployments)


def _streams(server: ReplicaServer) -> int:
    return sum(len(connection.streams) for connection in server.connections)


def _held(router: Router, connections: Any, ongoing: int, streams: int) -> Held:
    pools = list(router.cluster(fixed.CONTROLLER)._pools.values())
    links = [link for pool in pools for link in pool.links]
    outgoing = sum(len(link._connection.streams) for link in links if link._connection is not None)
    gc.collect()
    status = Path("/proc/self/status").read_text()
    resident_kib = int(status.partition("VmRSS:")[2].split()[0])
    return Held(
        tasks=len(asyncio.all_tasks()),
        streams=streams + outgoing,
        waiting=sum(pool.queued for pool in pools),
        ongoing=ongoing + sum(pool.ongoing for pool in pools),
        connections=len(connections),
        links=len(links),
        files=len(os.listdir("/proc/self/fd")),
        objects=len(gc.get_objects()),
        resident_mb=resident_kib * 1024 / 1e6,
    )
