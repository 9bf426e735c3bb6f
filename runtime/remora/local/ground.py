"""What an instance stands on: Ray, a folder with the key that all its processes share, and what its replicas print.

Light to import, as Ray takes the longest: it starts before the rest of Remora is imported, or what it serves read.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from remora.controller import connection
from remora.controller.settings import START_TIMEOUT_S, ControllerSettings
from remora.graph import importing
from remora.local import ray_address, settings
from remora.local.errors import CannotServe
from remora.local.output import Output
from remora.local.proxy_process import ProxyProcess
from remora.tracing.settings import TracingSettings


class Ground:
    """Made by `begin`, ended by `close`."""

    def __init__(
        self,
        folder: Path,
        output: Output,
        controller: ControllerSettings,
        proxy: ProxyProcess,
        importer: asyncio.subprocess.Process | None,
        is_ours: bool,
    ) -> None:
        self.folder = folder
        self.proxy = proxy
        self._importer = importer
        self.controller = controller
        """How the instance's controller is to run."""
        self.connecting = asyncio.create_task(_connect(controller))
        self._output = output
        self._is_ours = is_ours
        self._is_closed = False

    @classmethod
    async def begin(
        cls,
        address: str = "",
        env: Mapping[str, str] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
        *,
        imports: bool = False,
        tracing: TracingSettings | None = None,
    ) -> Ground:
        """Begin to connect to the Ray at ``address``, to start one where it is empty and this process has none yet.

        ``env`` is what replicas find in their environment when their process starts. With ``imports`` a process that
        will import the user's code starts as well, for `take_importer`. Raises CannotServe where there
        is no Ray at the address, or none installed.
        """
        if importlib.util.find_spec("ray") is None:
            raise CannotServe("Ray is not installed in this Python environment: pip install 'remora[runtime]'")
        if address:
            await asyncio.to_thread(ray_address.check, address, settings.ray_login(), Path.home())
        folder = Path(tempfile.mkdtemp(prefix="remora-"))
        data_key = secrets.token_hex(32)
        key_file = data_key_file(folder)
        key_file.touch(mode=0o600)
        key_file.write_text(data_key)
        output = Output(folder / "output", sys.stdout.buffer)
        worker_env = settings.prepare(
            data_key_file=key_file, output=output.path, scratch=folder, tracing=tracing, extra=env
        )
        is_ours = not (address or connection.is_connected())
        controller = ControllerSettings(
            ray_address=address,
            ray_key="",
            control_key=secrets.token_hex(32),
            data_key=data_key,
            url="",
            host="127.0.0.1",
            port=0,
            state_dir=folder / "state",
            local=True,
            worker_env={} if is_ours else worker_env,
            worker_env_at_start=bool(env),
            start_timeout_s=start_timeout_s,
        )
        # They import what they need beside this process, which does the same: one at a time, as the others would have
        # to share a core with this process. The proxy is wanted last.
        importer = await importing.ahead(settings.of_import({})) if imports else None
        proxy = None if importer else await ProxyProcess.begin(folder)
        # Here and not in the thread: imports of both would take turns, and Ray's start is what all wait for.
        connection.load()
        proxy = proxy or await ProxyProcess.begin(folder)
        ground = cls(folder, output, controller, proxy, importer, is_ours or bool(address))
        # The thread begins now, before whoever called goes on to import things.
        await asyncio.sleep(0)
        return ground

    def take_importer(self) -> asyncio.subprocess.Process | None:
        """Return the process that waits for what to import (`importing.ahead`), for who asks first."""
        taken, self._importer = self._importer, None
        return taken

    def mute(self) -> None:
        """Let replicas print nothing more on the terminal."""
        self._output.mute()

    async def close(self) -> None:
        """Leave Ray, or end it where it was started here, and clear away the folder. Harmless a second time."""
        if self._is_closed:
            return
        self._is_closed = True
        await self.proxy.kill()
        if (importer := self.take_importer()) is not None:
            with contextlib.suppress(ProcessLookupError):
                importer.kill()
            await importer.communicate()
        # Ray's start cannot be interrupted, and what it started would stay.
        await asyncio.wait([self.connecting])
        if not self.connecting.cancelled():
            # Whoever waited for it was told; here it is the end of what did not begin.
            self.connecting.exception()
        # Not in a thread: when a script ends there are none any more.
        if self._is_ours:
            connection.disconnect()
        self._output.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def data_key_file(folder: Path) -> Path:
    """Return where the key that proxies and replicas share is kept."""
    return folder / "data.key"


async def _connect(controller: ControllerSettings) -> None:
    await asyncio.to_thread(connection.connect, controller)
    connection.take_signals_back()
