"""``python -m tests.e2e.soak --times 100``: rollouts of every kind, and their table in ``docs/results/``."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from demo.ground import Ground as Demo
from demo.story import install
from tests.cluster.cluster import running
from tests.e2e.conftest import namespace
from tests.e2e.page import add, heading
from tests.e2e.rolling import HEADER, KINDS, Result, ground, roll
from tests.e2e.stage import Stage


def main() -> int:
    """Run the soak; the exit status is 1 when a request failed, or more pods were there than are allowed."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.soak", description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="rollouts of each kind")
    parser.add_argument("--long", type=float, default=30, help="seconds that streams and slow requests take")
    parser.add_argument("--kinds", default="", help="words, one of which the name of a kind has to have, by commas")
    parser.add_argument("--into", type=Path, default=None, help="file for the table; none unless given")
    given = parser.parse_args()
    words = [it for it in given.kinds.split(",") if it]
    kinds = [it for it in KINDS if not words or any(word in it.name for word in words)]
    cluster = running()
    began, results = datetime.now(UTC), []
    print(HEADER, flush=True)
    try:
        with cluster.claimed(), namespace(cluster) as name:
            install(Demo(cluster))
            for result in roll(ground(Stage(cluster, name)), [(it, given.times) for it in kinds], given.long):
                results.append(result)
                print("\n".join([result.row(), *result.faults()]), flush=True)
    finally:
        # What was found in an hour is not lost with the kind that went wrong.
        if given.into is not None and results:
            add(given.into, HEAD, section(results, began, given))
    return 1 if any(it.faults() for it in results) else 0


HEAD = """# Rollouts under load

Each run of `make soak-rollouts` adds its table here. A client that never retries sends 100 requests a second on 8 kept
connections, and holds a stream and a slow request of some seconds, again and again (long ones). A failure is any answer
but a whole 2xx. Pods are counted from a watch. A rollout's time includes the long requests that old replicas finish.
The cluster is a real Kubernetes of two nodes on one machine, with the load generator beside it.
"""


def section(results: list[Result], began: datetime, given: argparse.Namespace) -> list[str]:
    """Return what one run adds to the page."""
    kinds = f' KINDS="{given.kinds}"' if given.kinds else ""
    faults = [f"* {it}" for result in results for it in result.faults()]
    return [
        *heading(began, f"make soak-rollouts TIMES={given.times} LONG={given.long:g}{kinds}"),
        HEADER,
        *(it.row() for it in results),
        "",
        f"{sum(it.rollouts for it in results):,} rollouts, {sum(it.requests for it in results):,} requests, "
        f"{sum(it.failed for it in results)} failures.",
        *(["", "What was not as it has to be:", "", *faults] if faults else []),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
