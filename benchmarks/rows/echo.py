"""A body of 1 MB in and out."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.sides import Host
from benchmarks.wrk import load

BODY_BYTES = 1_000_000
FIGURES = (Figure("echo_16", "1 MB echo, 16 connections", "requests/s", (Goal("at least", 0.7, Side.BARE),)),)


def measure(bench: Bench) -> Recorder:
    """Load with 16 connections."""

    def take(host: Host, seconds: float) -> Mapping[str, float]:
        found = load(host.url, connections=16, seconds=seconds, body_bytes=BODY_BYTES)
        return {"echo_16": found.answered_per_s}

    return bench.interleaved("echo", take)
