"""Waiting: until something of the machine is so. For what nobody can wake us about: other programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from .commands import ClusterError

PAUSE_S = 0.05


def happens(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    """Whether the condition holds before the time is over; returns as soon as it does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_S)
    return True


def until(condition: Callable[[], bool], *, what: str, timeout_s: float) -> None:
    """Return once the condition holds; raise ClusterError naming `what` when the time is over."""
    if not happens(condition, timeout_s=timeout_s):
        raise ClusterError(f"{what}: not so after {timeout_s:.0f} s")


def listens(port: int) -> bool:
    """Whether a listening socket has the port; nobody is called, for a call would be forwarded."""
    wanted = f"0100007F:{port:04X}"
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(line[1] == wanted and line[3] == "0A" for line in lines)
