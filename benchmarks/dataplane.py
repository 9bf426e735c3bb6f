"""Requests per second of a no-op: bare uvicorn beside Remora's proxy and replica, on this machine, in one run.

    python -m benchmarks.dataplane [--seconds 5] [--connections 64]

Needs `wrk`; installs nothing. Every server is one process; the load generator shares the machine with them, as it does
for the server that Remora is compared with.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

KEY = "benchmark"
BODY = b"ok"
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"2")]


async def noop(scope, receive, send):  # type: ignore[no-untyped-def]
    """Answer at once."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


@dataclass(frozen=True, slots=True)
class Figures:
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


def serve_uvicorn(ready: Connection) -> None:
    """Bare uvicorn, with what a careful user would give it."""
    import uvicorn

    class Announcing(uvicorn.Server):
        async def startup(self, sockets=None):  # type: ignore[no-untyped-def]
            await super().startup(sockets)
            ready.send(self.servers[0].sockets[0].getsockname()[1])

    config = uvicorn.Config(
        noop, host="127.0.0.1", port=0, loop="uvloop", http="httptools", access_log=False, log_level="error"
    )
    Announcing(config).run()


def serve_replica(ready: Connection, program: str = "noop") -> None:
    """One replica with a program as users write it."""
    import gc
    from importlib import import_module

    import uvloop

    import remora.compat.alias
    from remora import memory
    from remora.graph.build import build
    from remora.replica.server import ReplicaServer
    from remora.replica.user import Identity, UserCallable

    remora.compat.alias.install()
    app = import_module(f"benchmarks.programs.{program}").app

    async def serve() -> None:
        built = build(app)
        definition = built.definitions[built.deployments[0].digest]
        server = ReplicaServer(
            await UserCallable.create(definition, Identity("bench", "bench#Noop#1", 1000)),
            key=KEY,
            application="bench",
            revision="1",
            replica="bench#Noop#1",
            max_ongoing_requests=1000,
        )
        gc.collect()
        gc.freeze()
        memory.keep_freed()
        ready.send(await server.start("127.0.0.1"))
        await asyncio.Event().wait()

    uvloop.run(serve())


def serve_proxy(ready: Connection, replica_port: int, access_log: bool) -> None:
    """One proxy, routed to the replica."""
    import uvloop

    from remora.local import fixed
    from remora.proxy import tune_memory
    from remora.proxy.server import ProxyServer
    from remora.proxy.settings import Settings
    from remora_api.wire import ApplicationRoutes

    deployment = fixed.deployment_routes("bench", "Noop", replica_port, max_ongoing_requests=1000)
    application = ApplicationRoutes(application="bench", ingress="Noop", deployments=(deployment,))

    async def serve() -> None:
        import time

        settings = Settings(data_key=KEY, host="127.0.0.1", port=0, admin_port=0, access_log=access_log)
        with Path("/dev/null").open("wb") as log:  # noqa: ASYNC230 - opened once, before anything is served
            server = ProxyServer(settings, write=log.write, wall_clock=time.time)
            await server.start()
            fixed.tell(server.router, [application])
            fixed.route(server, [fixed.routing("bench", request_timeout_s=60)])
            tune_memory()
            ready.send(server.port)
            await asyncio.Event().wait()

    uvloop.run(serve())


class Servers:
    """The processes under test; they end with the block."""

    def __init__(self) -> None:
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    def start(self, serve: Callable[..., None], *arguments: object) -> int:
        """Start a server and return its port."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, *arguments), daemon=True)
        process.start()
        self._processes.append(process)
        if not ours.poll(20):
            raise TimeoutError(f"{serve.__name__} did not start")
        port: int = ours.recv()
        return port


def load(port: int, *, seconds: int, connections: int) -> Figures:
    """Run wrk once."""
    threads = min(2, connections)
    with TemporaryDirectory() as folder:
        script = Path(folder, "figures.lua")
        script.write_text(
            "done = function(summary, latency)\n"
            ' print(string.format("FIGURES %f %f %f %d", summary.requests / (summary.duration / 1e6),'
            " latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,"
            " summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status"
            " + summary.errors.timeout))\nend\n"
        )
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "-s", str(script)]
        output = subprocess.run(
            [*command, f"http://127.0.0.1:{port}/"], check=True, capture_output=True, text=True
        ).stdout
    found = re.search(r"FIGURES (\S+) (\S+) (\S+) (\d+)", output)
    if found is None:
        raise RuntimeError(f"wrk printed no figures:\n{output}")
    return Figures(float(found[1]), float(found[2]), float(found[3]), int(found[4]))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    chosen = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt-get install wrk); nothing was measured")
        return 0
    with Servers() as servers:
        uvicorn_port = servers.start(serve_uvicorn)
        replica_port = servers.start(serve_replica)
        ports = {
            "bare uvicorn": uvicorn_port,
            "proxy + replica": servers.start(serve_proxy, replica_port, False),
            "proxy + replica, access log": servers.start(serve_proxy, replica_port, True),
        }
        print(f"{'':28} {'connections':>11} {'requests/s':>11} {'of uvicorn':>10} {'p50 ms':>8} {'p99 ms':>8} errors")
        for connections in (1, chosen.connections):
            base = 0.0
            for name, port in ports.items():
                load(port, seconds=1, connections=connections)
                figures = load(port, seconds=chosen.seconds, connections=connections)
                base = base or figures.requests_per_s
                share = figures.requests_per_s / base
                print(
                    f"{name:28} {connections:11} {figures.requests_per_s:11.0f} {share:10.0%}"
                    f" {figures.p50_ms:8.2f} {figures.p99_ms:8.2f} {figures.errors:6}"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
