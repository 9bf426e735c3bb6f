"""Event reasons: why something does not come up, where Kubernetes says so in events and in no status.

A ReplicaSet that may not make pods says it in its status; a StatefulSet only in events. A container that cannot start
says it in the pod's status; a volume that cannot be mounted only in events. They are read when such an object has been
silent for longer than usual, and at no other time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from remora_operator.cluster import Cluster
from remora_operator.errors import Permanent, Transient
from remora_operator.kinds import EVENT, STATEFUL_SET, Manifest
from remora_operator.observed import Child, Pod

USUAL_SET = timedelta(seconds=2)
"""Within this time after it was made, a set without a pod is nothing to ask about."""
USUAL_POD = timedelta(seconds=5)
"""Within this time after it was made, a pod on a node without a container is nothing to ask about."""
MOST_PODS = 4
"""How many pods are asked about at once: those of one template have the same trouble."""

Silent = TypeVar("Silent", Child, Pod)


def is_podless(child: Child, pods: Iterable[Pod], now: datetime) -> bool:
    """Whether a child is a StatefulSet that should have a pod by now, and has none."""
    if child.ref.kind is not STATEFUL_SET or not child.replicas:
        return False
    made = datetime.fromisoformat(child.manifest["metadata"]["creationTimestamp"])
    return now - made > USUAL_SET and not any(pod.name.rpartition("-")[0] == child.ref.name for pod in pods)


def is_silent(pod: Pod, now: datetime) -> bool:
    """Whether a pod should have begun on its node by now, and says nothing of why it has not."""
    waits = pod.is_active and pod.phase == "Pending" and pod.node and not pod.trouble
    return bool(waits) and now - pod.created > USUAL_POD


async def with_reasons(
    cluster: Cluster, namespace: str, children: Iterable[Child], pods: tuple[Pod, ...], now: datetime
) -> tuple[list[Child], tuple[Pod, ...]]:
    """Return the children and pods, those that say nothing with their newest warning as their trouble."""
    silent = {it.name for it in [pod for pod in pods if is_silent(pod, now)][:MOST_PODS]}
    return (
        [await _with_reason(cluster, namespace, it.uid, it) if is_podless(it, pods, now) else it for it in children],
        tuple([await _with_reason(cluster, namespace, it.uid, it) if it.name in silent else it for it in pods]),
    )


async def _with_reason(cluster: Cluster, namespace: str, uid: str, silent: Silent) -> Silent:
    try:
        events = await cluster.list(EVENT, namespace, fields=f"regarding.uid={uid}")
    except (Permanent, Transient) as error:
        # What serves meanwhile must not wait for this.
        return replace(silent, trouble=f"its events cannot be read: {error}"[:500])
    return replace(silent, trouble=newest_warning(events.items))


def newest_warning(events: Iterable[Manifest]) -> str:
    """Return reason and text of what was said last, if that is a warning; empty when it has gone on since."""
    newest = max(events, key=lambda it: (_said(it), it.get("type") == "Warning"), default=None)
    if newest is None or newest.get("type") != "Warning":
        return ""
    return f"{newest.get('reason', '')}: {newest.get('note', '')}"[:500]


def _said(event: Manifest) -> datetime:
    """Return when it was said last: repeated ones and those of older controllers have it in fields of their own."""
    series = event.get("series") or {}
    said = series.get("lastObservedTime") or event.get("deprecatedLastTimestamp") or event.get("eventTime")
    return datetime.fromisoformat(said or event["metadata"]["creationTimestamp"])
