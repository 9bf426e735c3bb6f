"""What clients see while something happens to a side: load on kept connections, fresh connections, and its pods."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.peers.side import Side, url
from benchmarks.sides import ROOT
from tests.e2e.stage import Load, eventually
from tests.e2e.watch import Seen, watched

LOAD = ("--rate", "100", "--connections", "8", "--timeout", "15", "--for", "1200")
LONG = ("--streams", "SERVICE/stream?seconds=10", "--slow", "SERVICE/slow?seconds=10")
WARM = 15
"""Fresh connections that are answered before anything happens."""


class Answer(NamedTuple):
    """One request on a connection of its own; times in seconds since 1970."""

    began: float
    ended: float
    status: int
    text: str

    @property
    def is_good(self) -> bool:
        """Whether it was answered as it should be."""
        return self.status == 200


@dataclass(slots=True)
class Probe:
    """A running `benchmarks.peers.probe`: what it has seen so far."""

    answers: list[Answer] = field(default_factory=list)

    def last(self, count: int) -> Sequence[Answer]:
        """Return the newest answers."""
        return self.answers[-count:]


@contextmanager
def probing(side: Side, target: str) -> Iterator[Probe]:
    """Probe a URL while the context is entered."""
    argv = side.stage.cluster.command(sys.executable, "-m", "benchmarks.peers.probe", target)
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    probe = Probe()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            probe.answers.append(Answer(*json.loads(line)))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield probe
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(5)


@dataclass(slots=True)
class Traffic:
    """All of it, from before something happens until after; `report` is there once the context is left."""

    probe: Probe
    pods: Seen
    load: Load
    began: float = 0.0
    """When it happened, in seconds since 1970."""

    @property
    def report(self) -> Mapping[str, Any]:
        """What the load generator counted."""
        return self.load.report

    def figures(self) -> dict[str, Any]:
        """Return what became of all requests."""
        failed = [it for it in self.probe.answers if not it.is_good]
        why = Counter(self.report["why"]) + Counter(f"{it.status} {it.text}" for it in failed)
        times = [*self.report["failed_at"], *(it.ended for it in failed)]
        return {
            "requests": self.report["requests"] + len(self.probe.answers) + self.report["streams"],
            "failed": self.report["failed"] + len(failed),
            "why": dict(why.most_common(6)),
            "outage_s": round(max(times) - min(times), 1) if times else 0.0,
            "gap_s": self.report["gap_s"],
            "p99_ms": self.report["p99_ms"],
            "peak_pods": self.pods.peak,
        }

    def all_new_s(self, prefix: str) -> float:
        """Return after how many seconds nothing old was answered any more."""
        old: list[float] = [last for text, (_, last) in self.report["seen"].items() if not text.startswith(prefix)]
        old += [it.ended for it in self.probe.answers if it.is_good and not it.text.startswith(prefix)]
        return round(max([it - self.began for it in old] or [0.0]), 1)


@contextmanager
def traffic(side: Side) -> Iterator[Traffic]:
    """Load a side while the context is entered; it answers when that begins."""
    target = eventually(lambda: url(side) or "", 10, "the Service")
    with (
        watched(side.stage, "pods", side.pods_by) as pods,
        probing(side, target) as probe,
        side.stage.load_at(target, *LOAD, *LONG) as load,
    ):
        eventually(lambda: is_good(probe, WARM), 60, "good answers before anything happens")
        yield Traffic(probe, pods, load, time.time())


def is_good(probe: Probe, count: int, prefix: str = "") -> bool:
    """Whether the newest answers are all good, and begin so."""
    newest = probe.last(count)
    return len(newest) == count and all(it.is_good and it.text.startswith(prefix) for it in newest)
