"""The proxy: HTTP in, framed sockets out. A process without Ray and without user code.

Reading order: `server` (the process), `app` (a request), `routes`, `routing`, then `remora.router`.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence

from remora import memory, standby
from remora.proxy.settings import Settings
from remora.tracing.process import tracer_of_proxy

__all__ = ["main", "tune_memory"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a proxy until SIGTERM or SIGINT; a second signal ends the drain. Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == [standby.WORD]:
        # Imported before it is known whether and how to serve.
        with memory.importing():
            for module in ("uvloop", "remora.proxy.server"):
                importlib.import_module(module)
        told = standby.wait(dies_with_stdin=True)
        if told is None:
            return 0
        arguments = told
    settings = Settings.read(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings))
    return 0


def tune_memory() -> None:
    """Keep what is freed, and collect rarely: what a request leaves behind is freed by counting references."""
    memory.keep_freed()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _run(settings: Settings) -> None:
    from remora.proxy.server import ProxyServer

    tracer = tracer_of_proxy(settings.tracing)
    server = ProxyServer(
        settings,
        write=_write,
        wall_clock=time.time,  # noqa: TID251 - the process's one clock
        tracer=tracer,
    )
    first, second = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (second if first.is_set() else first).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.start()
    tune_memory()
    await first.wait()
    draining = asyncio.ensure_future(server.drain())
    hurried = asyncio.ensure_future(second.wait())
    await asyncio.wait((draining, hurried), return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, hurried):
        task.cancel()
    await asyncio.wait((draining, hurried))
    await server.stop()


def _write(lines: bytes) -> None:
    # Past the buffer of `sys.stdout`, whose lock a thread that cannot write would keep until Python ends, and after.
    left = memoryview(lines)
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]
