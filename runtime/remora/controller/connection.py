"""This process's connection to Ray: as the driver of a cluster that runs, or of one that it starts (local mode).

Light to import: Ray itself comes with the first call, so that local mode can begin with it and import the rest while
Ray starts.
"""

from __future__ import annotations

import importlib
import logging
import signal
import sys
import threading
from typing import Any, Final

from remora.controller.settings import ControllerSettings
from remora.errors import RemoraError
from remora.lean_ray.lean import lean
from remora.replica.actor_names import NAMESPACE

LOCAL_OBJECT_STORE_BYTES: Final = 200_000_000
LOCAL_CONFIG: Final = {"worker_niceness": 0}
"""Of the Ray of local mode. Ray's own niceness, 15, is for work that may wait: of a core that its proxy wants as well,
a replica gets a thirtieth, and in local mode they share the machine's cores. Pods have shares of their own."""


class ClusterLost(RemoraError):
    """Ray's tables do not answer this process any more, and will not: it has to connect anew."""


def load() -> None:
    """Import Ray, which takes a third of a second."""
    importlib.import_module("ray")


def connect(settings: ControllerSettings) -> None:
    """Connect this process to Ray, or start one for local mode; raise ClusterLost when it does not answer.

    Blocks, for seconds where Ray is started.
    """
    import ray
    from ray.exceptions import RayError

    # What Ray warns of at its start is about threads and tokens of ours.
    logging.getLogger("ray").setLevel(logging.ERROR)
    common: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "configure_logging": False}
    try:
        if settings.ray_address:
            ray.init(address=settings.ray_address, **common)
        # A program that called ray.init itself keeps its Ray, also when the instance ends.
        elif not (settings.local and is_connected()):
            # Without the word it joins a Ray that somebody else has started on this machine.
            with lean():
                ray.init(
                    "local",
                    include_dashboard=False,
                    object_store_memory=LOCAL_OBJECT_STORE_BYTES,
                    _system_config=dict(LOCAL_CONFIG),
                    **common,
                )
    except (ConnectionError, RayError, RuntimeError, OSError) as error:
        if settings.ray_address:
            # What was begun of it would be in the way of another attempt.
            disconnect()
        raise ClusterLost(f"cannot connect to Ray at {settings.ray_address or 'this machine'}: {error}") from error


def is_connected() -> bool:
    """Return whether this process has a connection to Ray, which in local mode the user's program may have made."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def take_signals_back() -> None:
    """Install this process's signal handlers once more: Ray's put itself before them, prints a stack, and ends it."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if handler is not None:
            signal.signal(number, handler)
            signal.siginterrupt(number, False)


def disconnect() -> None:
    """Leave Ray; in local mode, end it."""
    import ray

    ray.shutdown()
