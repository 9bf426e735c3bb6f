"""PID 1 of a container: starts one program, answers the kubelet's probes, passes on its end, and reaps orphans.

Used by `head` and `worker`. The container lives as long as the program does; what is to happen at SIGTERM before the
program is told is the caller's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

log = logging.getLogger("remora.node")

KILL_AFTER_S = 5.0


class Program:
    """One child process, with the probes and signals of its container."""

    def __init__(self) -> None:
        self._pid = 0
        self._code: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._terminated = asyncio.Event()
        self.is_ready = False

    @property
    def is_alive(self) -> bool:
        """Whether the program runs."""
        return bool(self._pid) and not self._code.done()

    async def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        health_port: int,
        ready: Callable[[], Awaitable[object]],
        at_sigterm: Callable[[], Awaitable[None]],
    ) -> int:
        """Run the program to its end and return its exit code, 0 when it was SIGTERM that ended it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._terminated.set)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        probes = await asyncio.start_server(self._probe, None, health_port)
        self._pid = os.posix_spawnp(  # noqa: ASYNC221 - it returns as soon as the program is started
            command[0], list(command), dict(environment)
        )
        becoming_ready = asyncio.create_task(self._become_ready(ready))
        terminated = asyncio.ensure_future(self._terminated.wait())
        await asyncio.wait((self._code, terminated), return_when=asyncio.FIRST_COMPLETED)
        becoming_ready.cancel()
        if self._code.done():
            terminated.cancel()
            code = int(self._code.result())
        else:
            self.is_ready = False
            await at_sigterm()
            await self._end()
            code = 0
        probes.close()
        return code

    async def _become_ready(self, ready: Callable[[], Awaitable[object]]) -> None:
        await ready()
        self.is_ready = True
        log.info("ready")

    async def _end(self) -> None:
        os.kill(self._pid, signal.SIGTERM)
        await asyncio.wait([self._code], timeout=KILL_AFTER_S)
        if not self._code.done():
            os.kill(self._pid, signal.SIGKILL)
            await self._code

    def _reap(self) -> None:
        """Collect every child that has ended: the program, and orphans that fell to PID 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid and not self._code.done():
                self._code.set_result(os.waitstatus_to_exitcode(status))

    async def _probe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer GET /healthz and /readyz, and nothing else."""
        line = await reader.readline()
        path = line.split(b" ")[1] if line.count(b" ") >= 2 else b""
        good = {b"/healthz": self.is_alive, b"/readyz": self.is_ready}.get(path)
        status = {True: "200 OK", False: "503 Service Unavailable", None: "404 Not Found"}[good]
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
