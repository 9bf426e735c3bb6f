"""Events: what a person reads in `kubectl describe`. One for each change of the state, none while it stays.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from remora_api.autoscaling import STAYS
from remora_api.digests import digest
from remora_api.meta import Annotation, ConditionType
from remora_api.v1alpha1 import Condition, ServeApplication, ServeApplicationStatus
from remora_operator.kinds import EVENT, Manifest

MAX_NOTE = 1024
SCALE_EVERY = timedelta(seconds=10)
"""Between events of one deployment's autoscaling."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to the application."""

    reason: str
    note: str
    is_warning: bool = False
    action: str = "Reconcile"


def changes(before: ServeApplicationStatus, after: ServeApplicationStatus) -> tuple[Event, ...]:
    """Return what is to be said: of the state, and of decisions of autoscaling."""
    return (
        *_of_state(before, after),
        *_of_pause(before, after),
        *_of_scale(before, after),
        *_of_policies(before, after),
        *_of_ignored("ReplicasIgnored", before.replicas_ignored, after.replicas_ignored),
        *_of_ignored("SpecIgnored", before.ignored, after.ignored),
    )


def _of_state(before: ServeApplicationStatus, after: ServeApplicationStatus) -> tuple[Event, ...]:
    """Return an event when the reason of Ready, or what is stalled, is not what it was; else none."""
    ready = after.condition(ConditionType.READY.value)
    stalled = after.condition(ConditionType.STALLED.value)
    was_ready = before.condition(ConditionType.READY.value)
    was_stalled = before.condition(ConditionType.STALLED.value)
    if stalled is not None:
        return () if _same(stalled, was_stalled) else (Event(stalled.reason, stalled.message[:MAX_NOTE], True),)
    if ready is None or (was_ready is not None and was_ready.reason == ready.reason):
        return ()
    return (Event(ready.reason, ready.message[:MAX_NOTE]),)


def _of_pause(before: ServeApplicationStatus, after: ServeApplicationStatus) -> tuple[Event, ...]:
    """Return an event when reconciling is paused or goes on."""
    was, now = (it.condition(ConditionType.PAUSED.value) for it in (before, after))
    if now is not None and was is None:
        return (Event(now.reason, now.message[:MAX_NOTE]),)
    if was is not None and now is None:
        return (Event("ReconcileResumed", f"{Annotation.PAUSED} is not true any more: what differs is set right"),)
    return ()


def _of_scale(before: ServeApplicationStatus, after: ServeApplicationStatus) -> tuple[Event, ...]:
    """Return an event for each autoscaled deployment whose number changed; status has those that follow too fast."""
    known = {it.name: it for it in before.deployments}
    return tuple(
        Event("Autoscaled", f"deployment {it.name}: {it.reason}"[:MAX_NOTE], action="Scale")
        for it in after.deployments
        if it.autoscaled
        and it.name in known
        and known[it.name].desired != it.desired
        and not _is_soon(known[it.name].last_scale_time, it.last_scale_time)
    )


def _of_policies(before: ServeApplicationStatus, after: ServeApplicationStatus) -> tuple[Event, ...]:
    """Return an event for each deployment whose policy or schedule is wrong in a way that it was not, or is right."""
    known = {it.name: it.reason for it in before.deployments}
    return tuple(
        Event("AutoscalingPolicy", f"deployment {it.name}: {it.reason}"[:MAX_NOTE], True, action="Scale")
        for it in after.deployments
        if it.autoscaled and it.reason.startswith(STAYS) and known.get(it.name) != it.reason
    )


def _of_ignored(reason: str, before: str, after: str) -> tuple[Event, ...]:
    """Return an event when something was set that has no effect."""
    return (Event(reason, after[:MAX_NOTE], True, action="Scale"),) if after and after != before else ()


def _is_soon(before: datetime | None, after: datetime | None) -> bool:
    return before is not None and after is not None and after - before < SCALE_EVERY


def _same(one: Condition, other: Condition | None) -> bool:
    return other is not None and (one.reason, one.message) == (other.reason, other.message)


def manifest(event: Event, application: ServeApplication, instance: str, now: datetime) -> Manifest:
    """Return the event as an object. Its name follows from what it says and when, so that a retry makes no second."""
    metadata = application.metadata
    stamp = now.isoformat(timespec="microseconds")
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {
            "name": f"{metadata.name}.{digest([metadata.uid, event.reason, event.note, stamp])}",
            "namespace": metadata.namespace,
        },
        "eventTime": stamp.replace("+00:00", "Z"),
        "reportingController": "remora.dev/operator",
        "reportingInstance": instance[:128],
        "action": event.action,
        "reason": event.reason,
        "note": event.note,
        "type": "Warning" if event.is_warning else "Normal",
        "regarding": {
            "apiVersion": application.api_version,
            "kind": application.kind,
            "namespace": metadata.namespace,
            "name": metadata.name,
            "uid": metadata.uid,
        },
    }
