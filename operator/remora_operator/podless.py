"""Podless: why a StatefulSet makes no pod.

A ReplicaSet says it in its status; a StatefulSet only in events, which are read when one that should have a pod has
none for a while, and at no other time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from remora_operator.cluster import Cluster
from remora_operator.errors import Permanent, Transient
from remora_operator.kinds import EVENT, STATEFUL_SET, Manifest
from remora_operator.observed import Child, Pod

USUAL = timedelta(seconds=2)
"""Within this time after it was made, a set without a pod is nothing to ask about."""


def is_podless(child: Child, pods: Iterable[Pod], now: datetime) -> bool:
    """Whether a child is a StatefulSet that should have a pod by now, and has none."""
    if child.ref.kind is not STATEFUL_SET or not child.replicas:
        return False
    made = datetime.fromisoformat(child.manifest["metadata"]["creationTimestamp"])
    return now - made > USUAL and not any(pod.name.rpartition("-")[0] == child.ref.name for pod in pods)


async def with_its_reason(cluster: Cluster, child: Child) -> Child:
    """Return the child with what its newest warning says as its trouble; with none if nothing was said."""
    metadata = child.manifest["metadata"]
    try:
        events = await cluster.list(EVENT, metadata["namespace"], fields=f"regarding.uid={child.uid}")
    except (Permanent, Transient) as error:
        # What serves meanwhile must not wait for this.
        return replace(child, trouble=f"its events cannot be read: {error}"[:500])
    return replace(child, trouble=newest_warning(events.items))


def newest_warning(events: Iterable[Manifest]) -> str:
    """Return reason and text of the warning that was said last; empty when there is none."""
    warnings = [it for it in events if it.get("type") == "Warning"]
    newest = max(warnings, key=_said, default=None)
    return f"{newest.get('reason', '')}: {newest.get('note', '')}"[:500] if newest else ""


def _said(event: Manifest) -> datetime:
    """Return when it was said last: repeated ones and those of older controllers have it in fields of their own."""
    series = event.get("series") or {}
    said = series.get("lastObservedTime") or event.get("deprecatedLastTimestamp") or event.get("eventTime")
    return datetime.fromisoformat(said or event["metadata"]["creationTimestamp"])
