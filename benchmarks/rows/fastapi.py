"""A FastAPI application: what is left of a framework's own speed."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.sides import Host
from benchmarks.wrk import load

FIGURES = (Figure("fastapi_16", "FastAPI ingress, 16 connections", "requests/s", (Goal("at least", 0.8, Side.BARE),)),)


def measure(bench: Bench) -> Recorder:
    """Load with 16 connections."""

    def take(host: Host, seconds: float) -> Mapping[str, float]:
        return {"fastapi_16": load(host.url, connections=16, seconds=seconds).answered_per_s}

    return bench.interleaved("fastapi_ingress", take)
