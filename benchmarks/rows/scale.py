"""From 1 to 8 replicas, with Ray up and the program loaded: until all of them serve."""

from __future__ import annotations

from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.samples import turns
from benchmarks.sides import SideFailed

FIGURES = (Figure("scale_8", "1 → 8 replicas", "s", (Goal("at most", 5),), 1),)


def measure(bench: Bench) -> Recorder:
    """Serve one replica, then eight, one side after the other: starting takes the whole machine."""
    recorder = Recorder()
    hosts = [host for side, host in bench.hosts.items() if side is not Side.BARE]
    for host in turns(hosts, bench.rounds):
        try:
            host.run("scaled", replicas=1)
            recorder.add(host.side, {"scale_8": host.run("scaled", replicas=8)["seconds"]})
            host.delete()
        except SideFailed as error:
            recorder.failures[host.side] = str(error).strip().splitlines()[-1]
    return recorder
