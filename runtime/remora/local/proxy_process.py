"""The proxy's process, started before the address that it is to serve at is known. Light to import, as `ground` is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from remora import standby
from remora.local import settings

LOG = "proxy.log"


@dataclass(frozen=True, slots=True)
class ProxyProcess:
    """A process that imports what a proxy needs, and waits to be told the rest."""

    process: asyncio.subprocess.Process
    admin_port: int
    key: str
    """Of the operator's part, which local mode plays."""
    key_file: Path
    admin: socket.socket
    """Held from here on: a port that is only known to be free may be taken while the process starts."""
    log: Path

    @classmethod
    async def begin(cls, folder: Path) -> ProxyProcess:
        """Start the process; its key and its log lie in the folder."""
        key, key_file = secrets.token_hex(32), folder / "proxy.key"
        key_file.touch(mode=0o600)
        key_file.write_text(key)
        admin = socket.create_server(("127.0.0.1", 0))
        log = folder / LOG
        stderr = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "remora", "proxy", standby.WORD),
                # A session of its own: Ctrl-C reaches the process of `remora run` only, which ends all in order.
                start_new_session=True,
                stdin=asyncio.subprocess.PIPE,
                stderr=stderr,
                pass_fds=(admin.fileno(),),
                env=settings.of_proxy({}),
            )
        finally:
            os.close(stderr)
        return cls(process, admin.getsockname()[1], key, key_file, admin, log)

    def tell(self, arguments: Mapping[str, object], environment: Mapping[str, str]) -> None:
        """Let it serve, with these arguments besides those that it knows."""
        given = {**arguments, "--proxy-key-file": self.key_file, "--admin-fd": self.admin.fileno()}
        assert self.process.stdin is not None
        # Its stdin stays open: the proxy ends when this process does, however that may be.
        self.process.stdin.write(standby.message([word for pair in given.items() for word in pair], environment))
        self.admin.close()

    async def kill(self) -> None:
        """End a process that was told nothing, or does not end by itself."""
        self.admin.close()
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
