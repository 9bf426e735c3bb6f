"""Handle calls of 200 bytes from one replica to another, one and 100 in flight; measured by the caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.request import urlopen

from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.sides import Host

FIGURES = (
    Figure("handles_1", "handle calls, 1 in flight", "calls/s", (Goal("at least", 2500),)),
    Figure("handles_p50", "handle calls, p50 with 1 in flight", "ms", (Goal("at most", 0.4),), 2),
    Figure("handles_100", "handle calls, 100 in flight", "calls/s", (Goal("at least", 10_000),)),
)


def measure(bench: Bench) -> Recorder:
    """Ask the caller for both."""

    def take(host: Host, seconds: float) -> Mapping[str, float]:
        one, many = (ask(f"{host.url}/?seconds={seconds}&flight={flight}", seconds) for flight in (1, 100))
        return {"handles_1": one["calls_per_s"], "handles_p50": one["p50_ms"], "handles_100": many["calls_per_s"]}

    return bench.interleaved("handles", take, (Side.DEFAULT, Side.BEST, Side.REMORA))


def ask(url: str, seconds: float) -> Mapping[str, float]:
    """Return what the caller measured."""
    with urlopen(url, timeout=seconds + 30) as response:
        found: Mapping[str, float] = json.load(response)
    return found
