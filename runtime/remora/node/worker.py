"""`python -m remora worker`: PID 1 of a worker pod.

Runs a Ray node, which waits for the head, and ends when that does. At SIGTERM it first lets every replica here say
goodbye on its connections and finish what it has; nobody is asked, so this works while head and controller are away.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from remora import structured_log
from remora.node import commands
from remora.node.init import Program
from remora.node.settings import WorkerSettings, environment_with
from remora.replica import control
from remora_api.meta import Path as Paths
from remora_api.meta import Port

log = logging.getLogger("remora.node")

SOCKETS = "session_*/sockets/*"
RAYLET_SOCKET = "session_latest/sockets/raylet"
JOIN_PAUSE_S = 0.1


def main(arguments: Sequence[str]) -> int:
    """Run the worker until Ray ends or the pod does."""
    argparse.ArgumentParser(prog="remora worker", description=(__doc__ or "").partition("\n")[0]).parse_args(arguments)
    structured_log.configure()
    return asyncio.run(_run(WorkerSettings.read()))


async def _run(settings: WorkerSettings) -> int:
    sweep(Path(Paths.RAY_TEMP), settings.scratch)
    program = Program()
    return await program.run(
        commands.worker(settings),
        environment_with(commands.worker_environment(settings)),
        health_port=Port.WORKER_HEALTH,
        ready=_joined,
        at_sigterm=lambda: _drain(settings),
    )


def sweep(ray_temp: Path, scratch: Path) -> None:
    """Remove the sockets of a container that was here before: the pod's volumes outlive it, nobody listens any more.

    Ray would count on from their names, `raylet.1` for `raylet`, and this process would ask the dead one for ever.
    """
    for path in (*ray_temp.glob(SOCKETS), *scratch.glob(f"{control.FOLDER}/*.sock")):
        path.unlink(missing_ok=True)


async def _joined() -> None:
    """Return when the raylet takes connections, which it does once it has joined the cluster."""
    path = Path(Paths.RAY_TEMP) / RAYLET_SOCKET
    while True:
        try:
            _, writer = await asyncio.open_unix_connection(path)
        except OSError:
            await asyncio.sleep(JOIN_PAUSE_S)
            continue
        writer.close()
        return


async def _drain(settings: WorkerSettings) -> None:
    log.info("draining")
    count = await control.drain_all(settings.scratch, settings.drain_timeout_s)
    log.info("%d replicas have drained", count)
