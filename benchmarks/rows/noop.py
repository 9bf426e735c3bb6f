"""A handler that answers at once: what a request costs at the least."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.sides import Host
from benchmarks.wrk import load

CONNECTIONS = (1, 16, 64, 100)
GOALS = (
    Goal("at least", 0.7, Side.BARE),
    Goal("at least", 3, Side.BEST),
    Goal("at least", 30, Side.DEFAULT),
)
FIGURES = (
    *(
        Figure(f"noop_{n}", f"no-op, {n} connection{'s' if n > 1 else ''}", "requests/s", GOALS if n >= 16 else ())
        for n in CONNECTIONS
    ),
    Figure("noop_p50", "no-op, p50 at 1 connection", "ms", (Goal("at most", 0.25),), 2),
    Figure("noop_p99", "no-op, p99 at 64 connections", "ms", (), 1),
)


def measure(bench: Bench) -> Recorder:
    """Load with each number of connections in each turn."""

    def take(host: Host, seconds: float) -> Mapping[str, float]:
        figures = {}
        for connections in CONNECTIONS:
            found = load(host.url, connections=connections, seconds=seconds)
            figures[f"noop_{connections}"] = found.answered_per_s
            if connections == 1:
                figures["noop_p50"] = found.p50_ms
            if connections == 64:
                figures["noop_p99"] = found.p99_ms
        return figures

    return bench.interleaved("noop", take)
