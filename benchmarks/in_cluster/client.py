"""The client, in its pod: ``python -m benchmarks.in_cluster.client PROGRAM URL SECONDS`` prints figures as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping

from benchmarks.rows import stream
from benchmarks.sides import answers
from benchmarks.wrk import load


def noop(url: str, seconds: float) -> Mapping[str, float]:
    """One connection, and many."""
    one, *many = [load(url, connections=n, seconds=seconds) for n in (1, 16, 64)]
    return {"noop_p50": one.p50_ms} | {f"noop_{n}": it.answered_per_s for n, it in zip((16, 64), many, strict=True)}


def chain(url: str, seconds: float) -> Mapping[str, float]:
    """Three deployments in a row."""
    return {"chain_16": load(url, connections=16, seconds=seconds).answered_per_s}


def chunks(url: str, seconds: float) -> Mapping[str, float]:
    """A stream of 1,000 chunks."""
    return stream.of(url, seconds)


START_S = 120.0

PROGRAMS: Mapping[str, Callable[[str, float], Mapping[str, float]]] = {"noop": noop, "chain": chain, "chunks": chunks}


if __name__ == "__main__":
    program, url, seconds = sys.argv[1:]
    answers(url, START_S)
    print(json.dumps(PROGRAMS[program](url, float(seconds))))
