"""``python -m tests.e2e.soak --times 100``: rollouts of every kind, and their record in ``docs/results/``."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from demo.ground import Ground as Demo
from demo.story import install
from tests.cluster.cluster import running
from tests.e2e.conftest import namespace
from tests.e2e.page import commit, machine
from tests.e2e.record import Entry, append, page, read
from tests.e2e.rolling import HEADER, KINDS, Result, ground, roll
from tests.e2e.stage import Stage


def main() -> int:
    """Run the soak; the exit status is 1 when a request failed, or more pods were there than are allowed."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.soak", description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="rollouts of each kind")
    parser.add_argument("--long", type=float, default=30, help="seconds that streams and slow requests take")
    parser.add_argument("--kinds", default="", help="words, one of which the name of a kind has to have, by commas")
    parser.add_argument(
        "--into", type=Path, default=None, help="page for the sum of all runs, with its record beside it"
    )
    given = parser.parse_args()
    words = [it for it in given.kinds.split(",") if it]
    kinds = [it for it in KINDS if not words or any(word in it.name for word in words)]
    cluster, worst = running(), 0
    print(HEADER, flush=True)
    with cluster.claimed(), namespace(cluster) as name:
        install(Demo(cluster))
        began = datetime.now(UTC)
        for result in roll(ground(Stage(cluster, name)), [(it, given.times) for it in kinds], given.long):
            print("\n".join([result.row(), *result.faults()]), flush=True)
            worst = worst or int(bool(result.faults()))
            if given.into is not None:
                record = given.into.with_suffix(".jsonl")
                append(record, entry(result, began, given.long))
                given.into.write_text(page(read(record), [it.name for it in KINDS]))
            began = datetime.now(UTC)
    return worst


def entry(result: Result, began: datetime, long_s: float) -> Entry:
    """Return the line of the record for what one kind went through."""
    return Entry(
        began=began.isoformat(timespec="seconds"),
        commit=commit(),
        machine=machine(),
        long_s=long_s,
        kind=result.kind.name,
        rollouts=result.rollouts,
        requests=result.requests,
        long=result.long,
        failed=result.failed,
        peak_pods=result.peak_pods,
        allowed_pods=result.kind.most_pods,
        seconds=tuple(round(it, 1) for it in result.seconds),
        p99_ms=round(result.p99_ms, 1),
        faults=tuple(result.faults()),
    )


if __name__ == "__main__":
    raise SystemExit(main())
