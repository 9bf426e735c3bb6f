"""Lives of pods, in seconds since 1970, as a watch tells of them: Kubernetes itself keeps whole seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.stage import Stage
from tests.e2e.watch import watching

Pod = dict[str, Any]
STEPS = ("created", "scheduled", "started", "ready")
"""Of a pod that comes; `started` are all of its containers."""


@dataclass(slots=True)
class Life:
    """When each step of a pod was seen first."""

    component: str
    at: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Timeline:
    """What a watch of pods has told so far."""

    component: Callable[[Pod], str]
    lives: dict[str, Life] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any], now: float) -> None:
        """Take in one event of the watch."""
        pod = event["object"]
        life = self.lives.setdefault(pod["metadata"]["uid"], Life(self.component(pod)))
        for step in _seen(pod, is_gone=event["type"] == "DELETED"):
            life.at.setdefault(step, now)

    def since(self, began: float, component: str) -> dict[str, float]:
        """Return the steps of the first pod of a component that has come since then, in seconds from there."""
        later = (it for it in list(self.lives.values()) if it.component == component and it.at["created"] >= began)
        first = min(later, key=lambda it: it.at["created"], default=None)
        return {it: round(first.at[it] - began, 2) for it in STEPS if it in first.at} if first else {}

    def when(self, step: str, component: str, since: float) -> float | None:
        """Return when a pod of a component took a step first, of those since then."""
        times = [it.at[step] for it in list(self.lives.values()) if it.component == component and step in it.at]
        return min((it for it in times if it >= since), default=None)


def _seen(pod: Pod, *, is_gone: bool) -> Iterator[str]:
    """Return the steps that a pod has taken."""
    yield "created"
    status = pod.get("status", {})
    conditions = {it["type"] for it in status.get("conditions", []) if it["status"] == "True"}
    containers = status.get("containerStatuses", [])
    if "PodScheduled" in conditions:
        yield "scheduled"
    if containers and all("running" in it.get("state", {}) for it in containers):
        yield "started"
    if "Ready" in conditions:
        yield "ready"
    if "deletionTimestamp" in pod["metadata"]:
        yield "leaving"
    if is_gone:
        yield "gone"


@contextmanager
def watched(stage: Stage, selector: str, component: Callable[[Pod], str]) -> Iterator[Timeline]:
    """Watch the pods of a selector, of which there may be none, while the context is entered."""
    timeline = Timeline(component)
    with watching(stage, "pods", selector, lambda event: timeline.take(event, time.time())):
        yield timeline
