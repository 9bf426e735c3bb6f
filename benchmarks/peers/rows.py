"""The rows: what is done to a side, until when it is watched, and the figures that come of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.peers import pod_load, resources
from benchmarks.peers.manifests import Wanted
from benchmarks.peers.side import Side, apply, operators, pods, url
from benchmarks.peers.traffic import Probe, Traffic, is_good, probing, traffic
from tests.e2e.stage import awaited, eventually
from tests.e2e.volume import volume

Figures = dict[str, Any]
START_S, CHANGE_S, REFUSAL_S, HEAD_S = 300, 240, 120, 240
"""How long each may take at most."""
CALM_S, REST_S, LATE_S = 12, 30, 40
"""Until an application that has come up is at rest, how long that is looked at, and what a lost head has to show."""
QUIET = 25
"""Fresh connections, five a second, that have to be answered well at the end."""


def start(side: Side) -> Figures:
    """Apply it, and wait for the first answer; then look at it at rest."""
    began = time.time()
    apply(side, side.wanted)
    target = eventually(lambda: url(side) or "", START_S, "the Service")
    with probing(side, target) as probe:
        eventually(lambda: any(it.is_good for it in probe.answers), START_S, "the first answer")
        first = next(it for it in probe.answers if it.is_good)
        eventually(side.is_settled, START_S, "the state that is wanted")
        settled = time.time()
    time.sleep(CALM_S)
    there, operator = pods(side), operators(side)
    before, before_operator, then = resources.cpu_s(there), resources.cpu_s(operator), time.monotonic()
    time.sleep(REST_S)
    used, seconds = resources.cpu_s(there) - before, time.monotonic() - then
    used_operator = resources.cpu_s(operator) - before_operator
    return {
        "first_s": round(first.ended - began, 1),
        "settled_s": round(settled - began, 1),
        "pods": len(there),
        "memory_mib": round(resources.memory_mib(there)),
        "cpu_cores": round(used / seconds, 3),
        "operator_pods": len(operator),
        "operator_mib": round(resources.memory_mib(operator)),
        "operator_cores": round(used_operator / seconds, 3),
        "crd_kib": [round(it / 1024) for it in side.crd_bytes],
    }


def code(side: Side) -> Figures:
    """Change the code: its text at Remora, the import path at KubeRay, whose image has the new code already."""
    return _changed(side, replace(side.wanted, number="2"))


def new_image(side: Side) -> Figures:
    """Change the tag of the image."""
    return _changed(side, replace(side.wanted, image=_other(side.wanted.image)))


def _other(tag: str) -> str:
    return "2" if tag == "1" else "1"


def variable(side: Side) -> Figures:
    """Change an environment variable of the worker pods."""
    return _changed(side, replace(side.wanted, colour="blue"))


def _changed(side: Side, wanted: Wanted) -> Figures:
    with traffic(side) as seen:
        seen.began = time.time()
        apply(side, wanted)
        is_over = awaited(lambda: is_good(seen.probe, QUIET, wanted.prefix) and side.is_settled(), CHANGE_S)
    return _taken(seen, is_over, CHANGE_S) | {"all_new_s": seen.all_new_s(wanted.prefix)}


def _taken(seen: Traffic, is_over: bool, within_s: float) -> Figures:
    taken = {"over": is_over, "within_s": within_s, "seconds": round(time.time() - seen.began, 1)}
    return seen.figures() | taken


def scale(side: Side) -> Figures:
    """From 2 to 4 replicas by the manifest, and back without being measured."""
    # Another image, for a new Ray cluster: Ray Serve did not end when that limit was changed where replicas are.
    apply(side, replace(side.wanted, room=2, image=_other(side.wanted.image)))
    time.sleep(CALM_S)
    eventually(side.is_settled, CHANGE_S, "room for four")
    before = {it["metadata"]["uid"] for it in pods(side)}
    with traffic(side) as seen:
        seen.began = time.time()
        apply(side, replace(side.wanted, replicas=4))
        answering = _until(seen, lambda: len(_processes(seen.probe, seen.began)) == 4, CHANGE_S)
        is_over = awaited(lambda: side.is_settled() and is_good(seen.probe, QUIET), CHANGE_S)
    after = pods(side)
    gone = before - {it["metadata"]["uid"] for it in after}
    figures = _taken(seen, is_over, CHANGE_S) | {"four_s": answering, "pods": len(after), "replaced": len(gone)}
    apply(side, replace(side.wanted, replicas=2, room=1, image=_other(side.wanted.image)))
    time.sleep(CALM_S)
    eventually(side.is_settled, CHANGE_S, "two replicas again")
    return figures


def broken(side: Side) -> Figures:
    """Apply what cannot be imported, read what is said of it, and fix it by going forward."""
    good = side.wanted
    fixed = replace(good, number=str(int(good.number) + 1))
    with traffic(side) as seen:
        seen.began = time.time()
        apply(side, replace(good, broken=True))
        is_refused = awaited(side.has_refused, REFUSAL_S)
        refused_s = round(time.time() - seen.began, 1)
        time.sleep(10)
        said = side.said()
        still = is_good(seen.probe, QUIET)
        again = time.time()
        apply(side, fixed)
        is_over = awaited(lambda: is_good(seen.probe, QUIET, fixed.prefix) and side.is_settled(), CHANGE_S)
    forward = round(seen.all_new_s(fixed.prefix) - (again - seen.began), 1)
    more = {"is_refused": is_refused, "refused_s": refused_s, "said": said, "serves_on": still, "forward_s": forward}
    return _taken(seen, is_over, CHANGE_S) | more


def killed(side: Side) -> Figures:
    """Delete a worker pod without any grace."""
    return _deleted(side, "worker", ("--grace-period=0", "--force"))


def drained(side: Side) -> Figures:
    """Delete a worker pod as a drained node does: with the pod's own grace period."""
    return _deleted(side, "worker", ())


def head(side: Side) -> Figures:
    """Delete the head pod without any grace."""
    return _deleted(side, "head", ("--grace-period=0", "--force"))


def _deleted(side: Side, component: str, how: tuple[str, ...]) -> Figures:
    with traffic(side) as seen:
        before = _processes(seen.probe, 0)
        # The pod of the replica that has answered last: one that serves.
        hosts = [it.partition("/")[0] for it in sorted(before)]
        found = [it["metadata"]["name"] for it in pods(side, component)]
        victim = next((it for it in found if it in hosts), found[0])
        seen.began = time.time()
        side.stage.kubectl("delete", "pod", victim, "--wait=false", *how)
        if component == "head":
            # What the loss of the head does to workers comes late.
            time.sleep(LATE_S)
            two = None
        else:
            two = _until(seen, lambda: bool(_processes(seen.probe, seen.began) - before), HEAD_S)
        is_over = awaited(lambda: is_good(seen.probe, QUIET) and side.is_settled(), HEAD_S)
        after = _processes(seen.probe, time.time() - 5)
    more = {"two_s": two, "had": len(before), "same": len(before & after)}
    return _taken(seen, is_over, HEAD_S) | more


def _processes(probe: Probe, since: float) -> set[str]:
    """Return the processes that have answered requests which began since then."""
    return {it.text.rpartition(" ")[2] for it in list(probe.answers) if it.is_good and it.began >= since}


def _until(seen: Traffic, is_so: Callable[[], bool], seconds: float) -> float | None:
    return round(time.time() - seen.began, 1) if awaited(is_so, seconds) else None


def noop(side: Side) -> Figures:
    """Ask as much as 16 connections can, from a pod, through the Service."""
    name, port = side.service
    (sixteen,) = pod_load.loads(side.stage, f"http://{name}.{side.stage.namespace}.svc:{port}/", 16)
    rates = sorted(it.answered_per_s for it in sixteen)
    return {"per_s": round(rates[1]), "rates": [round(it) for it in rates]}


def fast(side: Side) -> Figures:
    """The same in Ray Serve's high throughput mode."""
    _settled(side, replace(side.wanted, fast=True), "high throughput mode")
    return noop(side)


def head_alone(side: Side) -> Figures:
    """Delete the head pod of a Ray cluster that keeps nothing outside of it."""
    _settled(side, replace(side.wanted, redis=False), "a Ray cluster without Redis")
    return head(side)


def head_stored(side: Side) -> Figures:
    """Delete the head pod of a Ray cluster whose tables are on a volume."""
    stage = side.stage
    with volume(stage.cluster, f"{stage.namespace}-local") as storage:
        try:
            _settled(side, replace(side.wanted, storage=storage), "a head with storage")
            return head(side)
        finally:
            _settled(side, replace(side.wanted, storage=""), "a head without storage")
            eventually(lambda: not stage.list("pvc"), CHANGE_S, "no claim")


def _settled(side: Side, wanted: Wanted, what: str) -> None:
    apply(side, wanted)
    eventually(side.is_settled, CHANGE_S, what)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    key: str
    title: str
    measure: Callable[[Side], Figures]
    only: str = ""
    """The side that has it; both unless given."""


ROWS = (
    Row("start", "`kubectl apply` → first 200, operator and images there", start),
    Row("noop", "no-op requests/s, 16 connections, from a pod through the Service", noop),
    Row("code", "new code", code),
    Row("variable", "another environment variable of the worker pods", variable),
    Row("scale", "2 → 4 replicas by the manifest", scale),
    Row("broken", "code that cannot be imported, then fixed", broken),
    Row("drained", "`kubectl delete` of a worker pod", drained),
    Row("killed", "a worker pod killed (`--grace-period=0 --force`)", killed),
    Row("head", "the head pod killed", head),
    Row("head_stored", "the head pod killed, its tables on a volume (`spec.head.storage`)", head_stored, "Remora"),
    Row("image", "another image", new_image),
    Row("fast", "no-op requests/s in Ray Serve's high throughput mode (HAProxy)", fast, "KubeRay"),
    Row("head_alone", "the head pod killed, without Redis", head_alone, "KubeRay"),
)
BY_KEY: Mapping[str, Row] = {it.key: it for it in ROWS}
