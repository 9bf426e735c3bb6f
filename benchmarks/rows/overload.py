"""One replica with room for five requests, under many times as many for a minute: who is refused is told at once.

wrk asks again as soon as it has an answer, so what is offered is what can be refused. Almost all answers are
refusals; their times are those of all answers. What is possible is measured before, with as many connections as there
is room for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from benchmarks import processes
from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.sides import Host
from benchmarks.wrk import load

ROOM = 14
"""Fewer than the program takes (5 at work, 10 that wait), so that nobody is refused."""
CONNECTIONS = 200
MINUTE_S = 60.0
BESIDE_S = 3.0
FIGURES = (
    Figure("overload_offered", "overload for a minute: asked ÷ possible", "", (Goal("at least", 10),), 1),
    Figure("overload_admitted", "overload: answered ÷ possible", "", (Goal("at least", 0.9),), 2),
    Figure("overload_p50", "overload: p50 of all answers, most of them 503", "ms", (), 1),
    Figure("overload_p99", "overload: p99 of all answers", "ms", (), 1),
    Figure("overload_memory", "overload: more memory afterwards, all processes", "MB", (Goal("at most", 10),), 1),
    Figure("overload_after", "in the seconds after it: answered ÷ possible", "", (Goal("at least", 0.9),), 2),
)


def measure(bench: Bench) -> Recorder:
    """Load with what can be served, beyond it, and with what can be served again."""

    def take(host: Host, seconds: float) -> Mapping[str, float]:
        possible = load(host.url, connections=ROOM, seconds=BESIDE_S)
        pids = host.pids()
        before = processes.memory_mb(pids)
        found = load(host.url, connections=CONNECTIONS, seconds=seconds, good=False)
        after = load(host.url, connections=ROOM, seconds=BESIDE_S)
        return {
            "overload_offered": found.requests / found.seconds / possible.answered_per_s,
            "overload_admitted": found.answered_per_s / possible.answered_per_s,
            "overload_p50": found.p50_ms,
            "overload_p99": found.p99_ms,
            "overload_memory": processes.memory_mb(pids) - before,
            "overload_after": after.answered_per_s / possible.answered_per_s,
        }

    sides = (Side.DEFAULT, Side.BEST, Side.REMORA)
    return replace(bench, rounds=1, seconds=MINUTE_S).interleaved("limited", take, sides)
