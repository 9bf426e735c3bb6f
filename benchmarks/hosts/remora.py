"""Remora as it runs in a cluster: controller, Ray, replicas, and the proxy of the proxy pods with everything on.

Keys on every connection, access log, metrics, request ids, limits (the programs'), and a deadline on every request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import remora.compat.alias
from benchmarks.hosts import orders
from remora.http_client import SignedClient
from remora.local import graph, manifest
from remora.local.instance import LocalInstance, LocalOptions
from remora.local.proxy import LocalProxy
from remora_api.wire import ApplicationRouting, ControllerEndpoint

DEADLINE_S = 60.0
T = TypeVar("T")


class Host:
    """One instance, with a proxy of its own beside that of local mode, which nobody asks."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log
        self._loop = asyncio.new_event_loop()
        self._instance: LocalInstance
        self._proxy: LocalProxy
        self._process: asyncio.subprocess.Process
        self._generation = 0
        self._serves = ""
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def start(self) -> None:
        """Start Ray, controller and proxy."""
        self._wait(self._start())

    def run(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        """Serve a program, or serve it with other arguments."""
        return self._wait(self._run(order["program"], order.get("args") or {}))

    def delete(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take it away."""
        self._wait(self._instance.delete(self._serves))
        return {}

    def pids(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        """Tell which process is which."""
        return {"controller": os.getpid(), "proxy": self._process.pid}

    def close(self) -> None:
        """End everything."""
        self._wait(self._close())

    async def _start(self) -> None:
        self._instance = await LocalInstance.start(LocalOptions(port=_free_port()))
        folder = Path(tempfile.mkdtemp(prefix="remora-bench-"))
        data_key, proxy_key, admin_port = folder / "data.key", folder / "proxy.key", _free_port()
        data_key.write_text(self._instance.data_key)
        proxy_key.write_text(secrets.token_hex(32))
        words = ["--data-key-file", data_key, "--proxy-key-file", proxy_key, "--host", "127.0.0.1"]
        words += ["--port", self._port, "--admin-port", admin_port, "--access-log", "true"]
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "remora", "proxy", *map(str, words), stdout=log, stderr=log
            )
        admin = SignedClient(f"http://127.0.0.1:{admin_port}", proxy_key.read_text())
        self._proxy = LocalProxy(self._process, admin, self._log)
        await self._proxy.route(())

    async def _run(self, program: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        self._generation += 1
        (found,) = manifest.read(f"benchmarks.programs.{program}:app", args=args).applications
        target = found.target.but(generation=self._generation)
        built = await graph.build(target)
        began = time.monotonic()
        await self._instance.deploy(target, "/", built)
        seconds = time.monotonic() - began
        routing = ApplicationRouting(
            application=target.application,
            controllers=(ControllerEndpoint(url=self._instance.controller_url),),
            request_timeout_s=DEADLINE_S,
        )
        await self._proxy.route((routing,), awaited=target.application)
        self._serves = target.application
        return {"url": f"http://127.0.0.1:{self._port}", "seconds": seconds}

    async def _close(self) -> None:
        await self._proxy.stop()
        await self._instance.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--replies", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args()
    remora.compat.alias.install()
    host = Host(given.port, given.log)
    host.start()
    try:
        orders.serve(given.replies, run=host.run, delete=host.delete, pids=host.pids)
    finally:
        with contextlib.suppress(KeyboardInterrupt):
            host.close()
