"""What controller and replica cost while nothing is asked, beside a Ray driver and an actor that only exist."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from benchmarks import processes
from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.sides import Host, SideFailed

WATCH_S = 40.0
SETTLE_S = 8.0
DEPLOYMENTS = (1, 50)
FIGURES = (
    *(
        Figure(
            f"idle_controller_{count}",
            f"idle controller with {count} deployment{'s' if count > 1 else ''}, CPU of a core",
            "%",
            (Goal("at most", extra, Side.BARE, "plus"),),
            2,
        )
        for count, extra in zip(DEPLOYMENTS, (0.2, 1.0), strict=True)
    ),
    Figure("idle_replica_cpu", "idle replica, CPU of a core", "%", (Goal("at most", 0.1, Side.BARE, "plus"),), 2),
    Figure("idle_replica_rss", "idle replica, resident memory", "MB", (Goal("at most", 15, Side.BARE, "plus"),)),
)
CONTROLLERS = {
    Side.DEFAULT: "ServeController",
    Side.REMORA: "benchmarks.hosts.remora",
    Side.BARE: "hosts.bare_ray",
}
REPLICAS = {Side.DEFAULT: "ServeReplica", Side.REMORA: "ReplicaActor", Side.BARE: "BareActor"}


def share(before_s: float, after_s: float, watched_s: float) -> float:
    """Return the CPU that was used, in per cent of a core."""
    return 100 * (after_s - before_s) / watched_s


def measure(bench: Bench) -> Recorder:
    """Watch /proc while nothing happens, one side after the other, and what is bare at the same time as Remora."""
    recorder = Recorder()
    with ExitStack() as stack:
        bare = []
        if Side.REMORA in bench.hosts:
            # A driver and an async actor of nobody's, in a Ray of their own.
            bare = [stack.enter_context(Host(Side.BARE, bench.hosts[Side.REMORA].python, "bare_ray"))]
        for side, beside in ((Side.DEFAULT, []), (Side.REMORA, bare)):
            host = bench.hosts.get(side)
            if host is None:
                continue
            for count in DEPLOYMENTS:
                try:
                    host.run("many", count=count)
                    _watch([host, *beside], count, recorder)
                    host.delete()
                except SideFailed as error:
                    recorder.failures[side] = str(error).strip().splitlines()[-1]
    return recorder


def _watch(hosts: Sequence[Host], count: int, recorder: Recorder) -> None:
    _pause(SETTLE_S)
    watched = [_Idle(host) for host in hosts]
    _pause(WATCH_S)
    for it in watched:
        recorder.add(it.side, it.figures(count))


class _Idle:
    """What a host's controller and replicas use from now on."""

    def __init__(self, host: Host) -> None:
        self.side = host.side
        pids = host.pids()
        self._controller = processes.named(pids, CONTROLLERS[host.side])
        self._replicas = processes.named(pids, REPLICAS[host.side])
        self._used_s = processes.scheduled_s(self._controller), processes.scheduled_s(self._replicas)
        self._began = time.monotonic()

    def figures(self, count: int) -> Mapping[str, float]:
        """Return the figures with so many deployments; those of a replica when it is one."""
        watched_s = time.monotonic() - self._began
        controller_s, replicas_s = self._used_s
        found = {f"idle_controller_{count}": share(controller_s, processes.scheduled_s(self._controller), watched_s)}
        if count == 1 and self._replicas:
            used = share(replicas_s, processes.scheduled_s(self._replicas), watched_s)
            found["idle_replica_cpu"] = used / len(self._replicas)
            found["idle_replica_rss"] = processes.memory_mb(self._replicas) / len(self._replicas)
        return found


def _pause(seconds: float) -> None:
    # What is measured is time in which nothing happens.
    time.sleep(seconds)
