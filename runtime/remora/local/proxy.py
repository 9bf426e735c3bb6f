"""The proxy of local mode: the very process of the proxy pods, told its routing as the operator tells it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from remora.errors import RemoraError
from remora.local.proxy_process import ProxyProcess
from remora_api.wire import ApplicationRouting, Routing

if TYPE_CHECKING:
    from remora.http_client import SignedClient
    from remora.local.tls import LocalTls

START_S = 20.0
STOP_S = 5.0
RETRY_S = 0.03


class ProxyFailed(RemoraError):
    """The proxy's process ended, or does not answer."""


class LocalProxy:
    """One proxy subprocess."""

    def __init__(self, process: asyncio.subprocess.Process, admin: SignedClient, log: Path) -> None:
        self._process = process
        self._log = log
        self._admin = admin
        self._version = 0

    @classmethod
    async def start(
        cls,
        begun: ProxyProcess,
        *,
        host: str,
        port: int,
        data_key_file: Path,
        root_path: str = "",
        keep_alive_s: int | None = None,
        grpc_port: int | None = None,
        tls: LocalTls | None = None,
    ) -> LocalProxy:
        """Let the process serve; it is ready when the first `route` has returned."""
        arguments: dict[str, object] = {
            "--data-key-file": data_key_file,
            "--host": host,
            "--port": port,
            "--lame-s": 0,
            "--drain-s": 2,
            "--quiet-s": 0.1,
            "--access-log": "false",
            "--root-path": root_path,
        }
        if keep_alive_s is not None:
            arguments["--keep-alive-s"] = keep_alive_s
        if grpc_port is not None:
            arguments["--grpc-port"] = grpc_port
        if tls is not None:
            arguments.update(tls.arguments())
        begun.tell(arguments, tls.environment() if tls is not None else {})
        # Imported while the process starts: it takes a tenth of a second.
        from remora.http_client import SignedClient

        return cls(begun.process, SignedClient(f"http://127.0.0.1:{begun.admin_port}", begun.key), begun.log)

    async def route(self, applications: tuple[ApplicationRouting, ...], awaited: str = "") -> None:
        """Make this its routing, waiting for it to come up, and for a replica of the awaited application.

        Raises ProxyFailed.
        """
        self._version += 1
        body = Routing(version=self._version, applications=applications).to_json()
        try:
            async with asyncio.timeout(START_S):
                while not await self._push(body, awaited):
                    if self._process.returncode is not None:
                        raise ProxyFailed(self.last_words())
                    await asyncio.sleep(RETRY_S)
        except TimeoutError:
            raise ProxyFailed(f"the proxy did not answer, or knew no replica, for {START_S:g} s") from None

    async def _push(self, body: bytes, awaited: str) -> bool:
        from remora.http_client import Unreachable

        try:
            answer = await self._admin.put("/v1/routing", body)
        except Unreachable:
            return False
        found = json.loads(answer.body)["applications"]
        return not awaited or any(a["application"] == awaited and a["ready_replicas"] for a in found)

    def last_words(self) -> str:
        """Say that it ended, and the last line that it wrote."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return f"the proxy ended with exit code {self._process.returncode}" + (f": {lines[-1]}" if lines else "")

    async def reached(self, controller: str, version: int) -> None:
        """Wait until it follows this version of the controller's routes; raise ProxyFailed."""
        try:
            async with asyncio.timeout(START_S):
                while not await self._follows(controller, version):  # noqa: ASYNC110 - another process's progress
                    await asyncio.sleep(RETRY_S)
        except TimeoutError:
            raise ProxyFailed(f"the proxy did not follow the routes for {START_S:g} s") from None

    async def _follows(self, controller: str, version: int) -> bool:
        answer = await self._admin.get("/v1/routing")
        followed: dict[str, int] = json.loads(answer.body)["controllers"]
        # A controller that no application names, as they have no route, is not followed.
        return followed.get(controller, version) >= version

    async def wait(self) -> int:
        """Return the exit code when the process has ended."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End the process, giving requests a moment."""
        await self._admin.close()
        if self._process.returncode is None:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
