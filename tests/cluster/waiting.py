"""Waiting: until something of the machine is so. For what nobody can wake us about: other programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from .commands import ClusterError

PAUSE_S = 0.05

T = TypeVar("T")


def awaited(probe: Callable[[], T], within_s: float, *, pause_s: float = PAUSE_S) -> T:
    """Return the first truthy value of `probe`, or the last one seen after `within_s` seconds."""
    began = time.monotonic()
    while not (value := probe()) and time.monotonic() - began < within_s:
        time.sleep(pause_s)
    return value


def happens(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    """Whether the condition holds before the time is over; returns as soon as it does."""
    return awaited(condition, timeout_s)


def until(condition: Callable[[], bool], *, what: str, timeout_s: float) -> None:
    """Return once the condition holds; raise ClusterError naming `what` when the time is over."""
    if not happens(condition, timeout_s=timeout_s):
        raise ClusterError(f"{what}: not so after {timeout_s:.0f} s")


def listens(port: int) -> bool:
    """Whether a listening socket has the port; nobody is called, for a call would be forwarded."""
    wanted = f"0100007F:{port:04X}"
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(line[1] == wanted and line[3] == "0A" for line in lines)
