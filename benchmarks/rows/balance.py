"""Two replicas that each do five requests of 10 ms at a time, under 200 connections: how even the waiting is.

Ideal is 200 requests in the hands of 10 places of 10 ms each: 200 ms for everybody. Beyond that is what the longest
queue costs, and the time between the end of one request and the start of the next.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.sides import Host
from benchmarks.wrk import load

CONNECTIONS = 200
FIGURES = (
    Figure("balance_p99", "two busy replicas, 200 connections: p99 ÷ ideal", "", (Goal("at most", 1.2),), 2),
    Figure("balance_rate", "two busy replicas, 200 connections (1,000 is possible)", "requests/s"),
)


def ideal_ms(connections: int, places: int, work_ms: float) -> float:
    """Return how long every request takes when all places are always busy and all wait equally.

    Example: 200 connections, 10 places, 10 ms of work → each place serves 20 connections in turn → 200 ms.
    """
    return max(work_ms, connections / places * work_ms)


def measure(bench: Bench) -> Recorder:
    """Load with more than all replicas can do at once."""
    ideal = ideal_ms(CONNECTIONS, 2 * 5, 10)

    def take(host: Host, seconds: float) -> Mapping[str, float]:
        found = load(host.url, connections=CONNECTIONS, seconds=seconds)
        return {"balance_p99": found.p99_ms / ideal, "balance_rate": found.answered_per_s}

    return bench.interleaved("sleeps", take, (Side.DEFAULT, Side.BEST, Side.REMORA))
