"""The controller as a process: connects to Ray, listens, and runs the loop until it is told to end or Ray is lost.

`python -m remora controller` on the head pod calls `run`; `remora.local` runs `serve` on its own loop.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from remora.controller import api, connection
from remora.controller.cluster import RayCluster
from remora.controller.connection import ClusterLost
from remora.controller.loop import Controller
from remora.controller.settings import ControllerSettings
from remora.reach import until_reachable

log = logging.getLogger("remora.controller")

CONNECT_AGAIN_S = (1, 2, 4)
EXIT_CLUSTER_LOST = 1
STOP_S = 3.0


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the process it is part of, and waits to be told its end instead of looking for it.

    Its own loop looks ten times a second, which is most of what an idle controller does.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._end = asyncio.Event()

    def end(self) -> None:
        """Let `serve` return once the requests under way have their answers."""
        self.should_exit = True
        self._end.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._end.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(settings: ControllerSettings) -> int:
    """Run the controller of a head pod; the exit code is 0 after SIGTERM, 1 when Ray was lost."""
    return asyncio.run(_main(settings))


async def _main(settings: ControllerSettings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ended = asyncio.create_task(stop.wait())
    serving = asyncio.create_task(serve(settings, listen(settings)))
    await asyncio.wait([ended, serving], return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        serving.cancel()
        await asyncio.wait([serving])
        return 0
    ended.cancel()
    return _exit_code(serving)


def _exit_code(serving: asyncio.Task[None]) -> int:
    try:
        serving.result()
    except ExceptionGroup as group:
        lost, other = group.split(ClusterLost)
        if other is not None:
            raise
        log.error("Ray is lost, so this process ends: %s", _first(lost))
    return EXIT_CLUSTER_LOST


def _first(error: BaseException | None) -> BaseException | None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _connect(settings: ControllerSettings) -> None:
    """Wait for the GCS to take connections, then connect; raise ClusterLost when it refuses again and again."""
    if settings.ray_address:
        host, _, port = settings.ray_address.rpartition(":")
        # Ray is imported meanwhile: a head that has just been made starts its tables and this at one moment.
        await asyncio.gather(asyncio.to_thread(connection.load), until_reachable(host, int(port)))
    await persistently(lambda: connection.connect(settings), CONNECT_AGAIN_S)


async def persistently(connect: Callable[[], None], pauses_s: Sequence[float]) -> None:
    """Connect, again after each of the pauses; raise the last ClusterLost.

    Tables that take connections need not be ready for a driver, on a busy machine for a minute. The kubelet, which
    starts a process that ends anew, too, would make its pauses longer and longer.
    """
    for pause_s in (*pauses_s, None):
        try:
            await asyncio.to_thread(connect)
        except ClusterLost as error:
            if pause_s is None:
                raise
            log.warning("%s; trying again in %g s", error, pause_s)
            await asyncio.sleep(pause_s)
        else:
            return


async def _cluster(settings: ControllerSettings, connecting: Awaitable[None]) -> RayCluster:
    await connecting
    connection.take_signals_back()
    return RayCluster(settings)


def listen(settings: ControllerSettings) -> socket.socket:
    """Take the port, so that it is known before anything else starts."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((settings.host, settings.port))
    return listening


async def serve(
    settings: ControllerSettings,
    listening: socket.socket,
    made: asyncio.Future[Controller] | None = None,
    connecting: Awaitable[None] | None = None,
) -> None:
    """Run a controller and its API until cancelled, or until Ray is lost: an ExceptionGroup with ClusterLost.

    `connecting` is the connection to Ray that the caller has begun already.
    """
    url = settings.url or f"http://127.0.0.1:{listening.getsockname()[1]}"
    controller = Controller(
        lambda: _cluster(settings, connecting or _connect(settings)),
        settings,
        url,
        time.time,  # noqa: TID251 - the process's edge: its clock
    )
    app = api.application(controller, control_key=settings.control_key, data_key=settings.data_key)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=75,
            # It would be that of the start.
            date_header=False,
        )
    )
    if made is not None:
        made.set_result(controller)
    listening_task = asyncio.create_task(server.serve(sockets=[listening]))
    running = asyncio.create_task(controller.run())
    try:
        await asyncio.wait([running, listening_task], return_when=asyncio.FIRST_COMPLETED)
    finally:
        running.cancel()
        # Long polls are answered, and nobody is left with half an answer.
        controller.close()
        server.end()
        await asyncio.shield(asyncio.wait([running, listening_task], timeout=STOP_S))
    running.result()
