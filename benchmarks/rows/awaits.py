"""A handler that awaits once: CPU of all processes that have a part in it, for each request."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import processes
from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal
from benchmarks.sides import Host
from benchmarks.wrk import load

FIGURES = (
    Figure("awaits_cpu", "handler that awaits once, CPU for each request", "ms", (Goal("at most", 0.25),), 3),
    Figure("awaits_16", "handler that awaits once, 16 connections", "requests/s"),
)


def measure(bench: Bench) -> Recorder:
    """Load with 16 connections, and read /proc before and after."""

    def take(host: Host, seconds: float) -> Mapping[str, float]:
        pids = host.pids()
        before = processes.cpu_s(pids)
        found = load(host.url, connections=16, seconds=seconds)
        spent = processes.cpu_s(pids) - before
        return {"awaits_cpu": spent * 1000 / found.requests, "awaits_16": found.answered_per_s}

    return bench.interleaved("awaits", take)
