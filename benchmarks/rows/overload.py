"""One replica that can do 500 requests a second, under many times as many: who is refused is told at once.

wrk asks again as soon as it has an answer, so what is offered is what can be refused. Almost all answers are
refusals; their times are those of all answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import processes
from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.sides import Host
from benchmarks.wrk import load

CAPACITY_PER_S = 500
CONNECTIONS = 200
FIGURES = (
    Figure("overload_admitted", "overload: answered, of what is possible", "", (Goal("at least", 0.9),), 2),
    Figure("overload_offered", "overload: offered ÷ possible", "", (), 0),
    Figure("overload_p50", "overload: p50 of all answers, most of them 503", "ms", (), 1),
    Figure("overload_p99", "overload: p99 of all answers", "ms", (), 1),
    Figure("overload_memory", "overload: more memory afterwards", "MB", (Goal("at most", 10),), 1),
    Figure("overload_after", "overload: answered in the second after it, of what is possible", "", (), 2),
)


def measure(bench: Bench) -> Recorder:
    """Load beyond capacity, then with what can be served."""

    def take(host: Host, seconds: float) -> Mapping[str, float]:
        pids = host.pids()
        before = processes.memory_mb(pids)
        found = load(host.url, connections=CONNECTIONS, seconds=seconds, good=False)
        grown = processes.memory_mb(pids) - before
        after = load(host.url, connections=5, seconds=1, good=False)
        return {
            "overload_admitted": found.answered_per_s / CAPACITY_PER_S,
            "overload_offered": found.requests / found.seconds / CAPACITY_PER_S,
            "overload_p50": found.p50_ms,
            "overload_p99": found.p99_ms,
            "overload_memory": grown,
            "overload_after": after.answered_per_s / CAPACITY_PER_S,
        }

    return bench.interleaved("limited", take, (Side.DEFAULT, Side.BEST, Side.REMORA))
