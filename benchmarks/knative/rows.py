"""The rows: what is done to a side at zero and around it, and the figures that come of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

from benchmarks.knative.manifests import GRACE_S, IDLE_S, Wanted
from benchmarks.knative.side import Side, apply, has_gone, is_at_zero, pods, system_pods
from benchmarks.knative.timeline import Timeline, watched
from benchmarks.peers import pod_load, resources
from benchmarks.peers.measuring import RECOVERY_S
from benchmarks.peers.traffic import Answer
from benchmarks.sides import ROOT
from tests.e2e.stage import awaited, eventually

Figures = dict[str, Any]
READY_S, ZERO_S, ANSWER_S = 240, 180, 120
"""How long each may take at most."""
CALM_S, REST_S = 3, 30
MANY, AROUND = 100, 10
CONSTRUCTOR_S = 12
"""Of the constructor in the row of the restart: time for both pods that hold requests to be replaced."""
LONG_S = IDLE_S + GRACE_S + 10
"""A request that takes longer than everything after which an application goes."""


@contextmanager
def asking(side: Side, count: int, spread_s: float = 0.0, path: str = "") -> Iterator[Callable[[], list[Answer]]]:
    """Give what sends requests at the moment in which it is called, and returns their answers."""
    url, headers = side.target()
    words = (url + path, str(count), str(spread_s), str(ANSWER_S), json.dumps(headers))
    argv = side.stage.cluster.command(sys.executable, "-m", "benchmarks.knative.burst", *words)
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # Python has started when the moment comes.
    time.sleep(1)

    def ask() -> list[Answer]:
        said, _ = process.communicate()
        return [Answer(*it) for it in json.loads(said)]

    try:
        yield ask
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def asked(side: Side, count: int, spread_s: float = 0.0, path: str = "") -> list[Answer]:
    """Send requests and return their answers."""
    with asking(side, count, spread_s, path) as ask:
        return ask()


def at_zero(side: Side) -> None:
    """Wait until it is at zero, and a little more."""
    # A head that still ends would be in the way of the next one, which has its name.
    eventually(lambda: has_gone(side), ZERO_S, "no pod that serves")
    time.sleep(CALM_S)


@contextmanager
def seen(side: Side) -> Iterator[Timeline]:
    """Watch its pods while the context is entered."""
    with watched(side.stage, side.pods_by, side.component) as timeline:
        yield timeline


def first(side: Side, rounds: int) -> Figures:
    """One request at zero, and the way back to zero."""
    took: list[float] = []
    leaving: list[float] = []
    gone: list[float] = []
    parts = []
    for _ in range(rounds):
        at_zero(side)
        with seen(side) as timeline:
            (answer,) = asked(side, 1)
            assert answer.is_good, f"the first request: {answer.status} {answer.text}"
            took.append(round(answer.ended - answer.began, 2))
            # The watch may tell of a step after the answer that it led to.
            time.sleep(CALM_S)
            parts.append(_parts(side, timeline, answer))
            eventually(partial(is_at_zero, side), ZERO_S, "no pod that serves")
            leaving += _after(side, timeline, "leaving", answer)
            if len(took) == rounds:
                eventually(partial(has_gone, side), ZERO_S, "no pod that ends")
                gone = _after(side, timeline, "gone", answer)
    return {"first_s": took, "parts": medians(parts), "leaving_s": leaving, "gone_s": gone}


def _after(side: Side, timeline: Timeline, step: str, answer: Answer) -> list[float]:
    """Return how long after an answer the pod that gave it took a step; nothing where none was seen to."""
    time.sleep(1)  # The watch may be later than the look at the pods.
    at = timeline.when(step, side.comes[-1], answer.ended)
    return [round(at - answer.ended, 1)] if at else []


def _parts(side: Side, timeline: Timeline, answer: Answer) -> dict[str, float]:
    found = {
        f"{it} {step}": at for it in side.comes for step, at in timeline.since(answer.began, it).items()
    } | side.woken(answer.began)
    return found | {"answered": round(answer.ended - answer.began, 2)}


def medians(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each step that every round has, in the order of time."""
    common = [it for it in parts[0] if all(it in other for other in parts)] if parts else []
    found = {it: round(median(other[it] for other in parts), 2) for it in common}
    return dict(sorted(found.items(), key=lambda it: it[1]))


def hundred(side: Side, rounds: int) -> Figures:
    """A hundred requests at zero, all at once."""
    found = []
    for _ in range(rounds):
        at_zero(side)
        found.append(asked(side, MANY))
    return counted(found)


def counted(found: Sequence[Sequence[Answer]]) -> Figures:
    """Return what became of requests that were sent together, a list of answers for each time."""
    flat = [it for answers in found for it in answers]
    failed = Counter(f"{it.status} {it.text}" for it in flat if not it.is_good)
    good = [[it.ended - it.began for it in answers if it.is_good] for answers in found]
    return {
        "requests": len(flat),
        "failed": sum(failed.values()),
        "why": dict(failed.most_common(6)),
        "first_s": [round(min(it), 2) for it in good if it],
        "last_s": [round(max(it), 2) for it in good if it],
    }


def restart(side: Side, rounds: int) -> Figures:
    """A hundred requests at zero, and the pods that hold them are replaced while they do."""
    settled(side, replace(side.wanted, constructor_s=CONSTRUCTOR_S))
    namespace, name = side.holder
    found, replaced = [], []
    kubectl = side.stage.cluster.kubectl
    for _ in range(rounds):
        at_zero(side)
        with asking(side, MANY, spread_s=1.0) as ask:
            kubectl("-n", namespace, "rollout", "restart", f"deployment/{name}")
            began = time.time()
            found.append(ask())
        kubectl("-n", namespace, "rollout", "status", f"deployment/{name}", "--timeout=120s")
        replaced.append(round(time.time() - began, 1))
    settled(side, replace(side.wanted, constructor_s=0.0))
    return counted(found) | {"replaced_s": replaced}


def settled(side: Side, wanted: Wanted) -> None:
    """Apply what is wanted, and wait until it is there."""
    apply(side, wanted)
    time.sleep(CALM_S)
    eventually(side.is_current, READY_S, "the state that is wanted")


def rest(side: Side, rounds: int) -> Figures:
    """What stays at zero."""
    eventually(lambda: has_gone(side), ZERO_S, "no pod that serves")
    time.sleep(CALM_S)
    of_it, of_all = pods(side), system_pods(side)
    before, before_all, then = resources.cpu_s(of_it), resources.cpu_s(of_all), time.monotonic()
    time.sleep(REST_S)
    used, used_all, seconds = resources.cpu_s(of_it), resources.cpu_s(of_all), time.monotonic() - then
    return {
        "pods": len(of_it),
        "memory_mib": round(resources.memory_mib(of_it)),
        "cpu_cores": round((used - before) / seconds, 3),
        "system_pods": len(of_all),
        "system_mib": round(resources.memory_mib(of_all)),
        "system_cores": round((used_all - before_all) / seconds, 3),
    }


def warm(side: Side, rounds: int) -> Figures:
    """No-op requests from a pod, with one pod that answers them."""
    asked(side, 1)
    one, sixteen = pod_load.loads(side.stage, side.inside(), 1, 16)
    return {
        "p50_ms": sorted(round(it.p50_ms, 2) for it in one),
        "per_s": sorted(round(it.answered_per_s) for it in sixteen),
    }


def direct(side: Side, rounds: int) -> Figures:
    """The same with Knative's activator out of the path."""
    settled(side, replace(side.wanted, direct=True))
    try:
        return warm(side, rounds)
    finally:
        settled(side, replace(side.wanted, direct=False))


def leaving(side: Side, rounds: int) -> Figures:
    """Requests about the moment in which it goes to zero, and one that lasts longer than that takes."""
    with seen(side) as timeline:
        (answer,) = asked(side, 1)
        last = side.comes[-1]
        at = eventually(lambda: timeline.when("leaving", last, answer.ended) or 0.0, ZERO_S, "a pod that leaves")
    after_s = at - answer.ended
    found, were_there = [], 0
    for number in range(rounds):
        with asking(side, 1) as ask_one, asking(side, AROUND, spread_s=0.5) as ask_around:
            (answer,) = ask_one()
            offset = (number - rounds // 2) * 0.5
            time.sleep(max(0.0, answer.ended + after_s + offset - time.time()))
            found.append([answer, *ask_around()])
        were_there += sum(it.text == answer.text for it in found[-1][1:])
    (long,) = asked(side, 1, path=f"?seconds={LONG_S}")
    more = {"after_s": round(after_s, 1), "same": were_there, "long_s": LONG_S, "long": long.is_good}
    return counted(found) | more | {"long_why": "" if long.is_good else f"{long.status} {long.text}"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    key: str
    title: str
    measure: Callable[[Side, int], Figures]
    only: str = ""
    """The side that has it; all unless given."""


ROWS = (
    Row("first", "one request at zero → its answer", first),
    Row("hundred", "100 first requests at once", hundred),
    Row("rest", "what stays at zero", rest),
    Row("warm", "no-op requests from a pod through the Service, one replica", warm),
    Row("direct", "the same, activator out of the path (`target-burst-capacity: 0`)", direct, "Knative"),
    Row("leaving", "requests about the moment in which it goes to zero", leaving),
    Row("restart", f"100 first requests, their holders restarted (constructor: {CONSTRUCTOR_S} s)", restart),
)
BY_KEY: Mapping[str, Row] = {it.key: it for it in ROWS}


def recovered(side: Side) -> None:
    """Give a side time to come to itself after a row that failed."""
    awaited(side.is_current, RECOVERY_S)
