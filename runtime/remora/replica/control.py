"""The replica's control socket: how PID 1 of the worker pod tells its replicas to drain when the pod has to end.

One line in, `drain SECONDS`, and one line out, `done`, when the replica has finished what it had. The sockets lie in a
folder that only this pod sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from remora.types import ReplicaId

FOLDER = "replicas"
Drain = Callable[[float], Awaitable[None]]


async def listen(scratch: Path, replica: ReplicaId, drain: Drain) -> asyncio.AbstractServer:
    """Listen for the pod's PID 1."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word, _, seconds = (await reader.readline()).decode().strip().partition(" ")
        if word == "drain":
            await drain(float(seconds))
            writer.write(b"done\n")
            await writer.drain()
        writer.close()

    # The id ends in random digits; all of it would be too long for a socket's path.
    path = scratch / FOLDER / f"{replica.rpartition('#')[2]}.sock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return await asyncio.start_unix_server(answer, path)


async def drain_all(scratch: Path, timeout_s: float) -> int:
    """Let every replica on this machine drain, wait for them, and return how many there were."""
    paths = sorted((scratch / FOLDER).glob("*.sock"))
    await asyncio.gather(*(_drain(path, timeout_s) for path in paths))
    return len(paths)


async def _drain(path: Path, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(f"drain {timeout_s}\n".encode())
            await writer.drain()
            await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        # Its process has gone, or needs longer than there is.
        return
