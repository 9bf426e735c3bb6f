"""``python -m tests.e2e.soak --times 100``: rollouts of every kind, and their record in ``docs/results/``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock

from demo.ground import Ground as Demo
from demo.story import install
from tests.cluster.cluster import Cluster, running
from tests.e2e.conftest import namespace
from tests.e2e.page import commit, machine
from tests.e2e.record import Entry, append, page, read
from tests.e2e.rolling import HEADER, KINDS, Kind, Result, ground, roll
from tests.e2e.stage import Stage

PART = 5
"""Rollouts of one kind that are one line of the record: what an interrupted soak can lose."""

Part = tuple[Kind, int]


def main() -> int:
    """Run the soak; the exit status is 1 when a request failed, or more pods were there than are allowed."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.soak", description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="rollouts of each kind")
    parser.add_argument("--long", type=float, default=30, help="seconds that streams and slow requests take")
    parser.add_argument("--kinds", default="", help="words, one of which the name of a kind has to have, by commas")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="after these no kind is begun, whatever is left")
    parser.add_argument(
        "--into", type=Path, default=None, help="page for the sum of all runs, with its record beside it"
    )
    parser.add_argument(
        "--side-by-side", type=int, default=1, metavar="N", help="applications that are rolled at the same time"
    )
    given = parser.parse_args()
    words = [it for it in given.kinds.split(",") if it]
    kinds = [it for it in KINDS if not words or any(word in it.name for word in words)]
    cluster = running()
    cluster.up()
    wanted: SimpleQueue[Part] = SimpleQueue()
    for part in parts(kinds, given.times):
        wanted.put(part)
    ends = time.monotonic() + given.minutes * 60
    print(HEADER, flush=True)
    record = Record(given.into, given.long, given.side_by_side)
    with cluster.claimed():
        install(Demo(cluster))
        with ThreadPoolExecutor(given.side_by_side) as pool:
            applications = [
                pool.submit(soak, cluster, wanted, ends, given.long, record) for _ in range(given.side_by_side)
            ]
        for it in applications:
            it.result()
    if not wanted.empty() and time.monotonic() < ends:
        raise SystemExit("no application is left: the cluster has no room for any")
    return int(record.is_bad)


def parts(kinds: Sequence[Kind], times: int) -> Iterator[Part]:
    """Yield what is recorded at once: all kinds by turns, so that a soak that is ended has seen each of them."""
    for done in range(0, times, PART):
        for kind in kinds:
            yield kind, min(PART, times - done)


def soak(cluster: Cluster, wanted: SimpleQueue[Part], ends: float, long_s: float, record: Record) -> None:
    """Roll part by part, for as long as there are any and it is not `ends`; one application after the other.

    One that does not come to rest is in the record, and the next part begins with a new one.
    """
    taken = _taken(wanted, ends)
    for first in taken:
        with namespace(cluster) as name:
            try:
                rolled = ground(Stage(cluster, name))
            except AssertionError as error:
                print(f"an application less: it did not come up ({error})", flush=True)
                wanted.put(first)
                return
            for part in chain((first,), taken):
                began = datetime.now(UTC)
                try:
                    for result in roll(rolled, [part], long_s):
                        record.take(result, began)
                except AssertionError as error:
                    record.take(Result(part[0], failures=[f"has not come to rest: {error}"]), began)
                    break


def _taken(wanted: SimpleQueue[Part], ends: float) -> Iterator[Part]:
    while time.monotonic() < ends:
        try:
            yield wanted.get_nowait()
        except Empty:
            return


@dataclass(slots=True)
class Record:
    """What came of all kinds: on screen, and in the files, to which several threads write."""

    into: Path | None
    long_s: float
    side_by_side: int
    is_bad: bool = False
    _lock: Lock = field(default_factory=Lock)

    def take(self, result: Result, began: datetime) -> None:
        """Show and keep what came of one kind."""
        with self._lock:
            print("\n".join([result.row(), *result.faults()]), flush=True)
            self.is_bad = self.is_bad or bool(result.faults())
            if self.into is not None:
                record = self.into.with_suffix(".jsonl")
                append(record, entry(result, began, self.long_s, self.side_by_side))
                self.into.write_text(page(read(record), [it.name for it in KINDS]))


def entry(result: Result, began: datetime, long_s: float, side_by_side: int) -> Entry:
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
        side_by_side=side_by_side,
    )


if __name__ == "__main__":
    raise SystemExit(main())
