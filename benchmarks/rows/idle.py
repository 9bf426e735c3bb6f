"""What controller and replica cost while nothing is asked, beside a Ray driver and an actor that only exist."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks import processes
from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.sides import Host, SideFailed

WATCH_S = 20.0
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
CONTROLLERS = {Side.DEFAULT: "ServeController", Side.REMORA: "benchmarks.hosts.remora"}
REPLICAS = {Side.DEFAULT: "ServeReplica", Side.REMORA: "ReplicaActor"}


def share(before_s: float, after_s: float, watched_s: float) -> float:
    """Return the CPU that was used, in per cent of a core."""
    return 100 * (after_s - before_s) / watched_s


def measure(bench: Bench) -> Recorder:
    """Watch /proc while nothing happens, one side after the other."""
    recorder = Recorder()
    pause = _pause
    for side, host in bench.hosts.items():
        if side not in CONTROLLERS:
            continue
        for count in DEPLOYMENTS:
            try:
                host.run("many", count=count)
                _watch(host, count, recorder, pause)
                host.delete()
            except SideFailed as error:
                recorder.failures[side] = str(error).strip().splitlines()[-1]
    if Side.REMORA in bench.hosts:
        _watch_bare(bench.hosts[Side.REMORA], recorder, pause)
    return recorder


def _watch(host: Host, count: int, recorder: Recorder, pause: Callable[[float], None]) -> None:
    pause(SETTLE_S)
    pids = host.pids()
    controller, replicas = processes.named(pids, CONTROLLERS[host.side]), processes.named(pids, REPLICAS[host.side])
    controller_s, replicas_s = processes.scheduled_s(controller), processes.scheduled_s(replicas)
    began = time.monotonic()
    pause(WATCH_S)
    watched = time.monotonic() - began
    found = {f"idle_controller_{count}": share(controller_s, processes.scheduled_s(controller), watched)}
    if count == 1 and replicas:
        found["idle_replica_cpu"] = share(replicas_s, processes.scheduled_s(replicas), watched) / len(replicas)
        found["idle_replica_rss"] = processes.memory_mb(replicas) / len(replicas)
    recorder.add(host.side, found)


def _watch_bare(host: Host, recorder: Recorder, pause: Callable[[float], None]) -> None:
    """A driver and an async actor of nobody's, in a Ray of their own."""
    with Host(Side.BARE, host.python, "bare_ray") as bare:
        pause(SETTLE_S)
        pids = bare.pids()
        driver, actor = processes.named(pids, "hosts.bare_ray"), processes.named(pids, "BareActor")
        driver_s, actor_s = processes.scheduled_s(driver), processes.scheduled_s(actor)
        began = time.monotonic()
        pause(WATCH_S)
        watched = time.monotonic() - began
        driver_share = share(driver_s, processes.scheduled_s(driver), watched)
        recorder.add(
            Side.BARE,
            {
                **{f"idle_controller_{count}": driver_share for count in DEPLOYMENTS},
                "idle_replica_cpu": share(actor_s, processes.scheduled_s(actor), watched),
                "idle_replica_rss": processes.memory_mb(actor),
            },
        )


def _pause(seconds: float) -> None:
    # What is measured is time in which nothing happens.
    time.sleep(seconds)
