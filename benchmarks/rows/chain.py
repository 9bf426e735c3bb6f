"""Three deployments in a row: what a hop costs."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.sides import Host
from benchmarks.wrk import load

FIGURES = (
    Figure("chain_16", "chain of 3 deployments, 16 connections", "requests/s", (Goal("at least", 3000),)),
    Figure("chain_p50", "chain of 3 deployments, p50 at 1 connection", "ms", (), 2),
)


def measure(bench: Bench) -> Recorder:
    """Load with 16 connections, and with one."""

    def take(host: Host, seconds: float) -> Mapping[str, float]:
        many = load(host.url, connections=16, seconds=seconds)
        one = load(host.url, connections=1, seconds=seconds)
        return {"chain_16": many.answered_per_s, "chain_p50": one.p50_ms}

    return bench.interleaved("chain", take, (Side.DEFAULT, Side.BEST, Side.REMORA))
