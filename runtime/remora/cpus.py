"""How many CPUs this process may use at once, and how it leaves one to others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
"""Of a container's limit: microseconds in a period, or ``max``; and the period (kernel.org: cgroup-v2, CPU)."""


def available(quota: Path = QUOTA) -> float:
    """Return the CPUs that the process may run on, or its container's share of them if that is less."""
    allowed = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        limit, period = quota.read_text().split()
        return allowed if limit == "max" else min(allowed, int(limit) / int(period))
    except (OSError, ValueError):
        return allowed  # No limit, or none that is told here.


def let_others() -> None:
    """Let whoever waits for this CPU run first."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
