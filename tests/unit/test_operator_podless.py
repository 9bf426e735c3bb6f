"""Why a StatefulSet makes no pod: asked of its events, and only when there is something to ask."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from remora_api.meta import Component
from remora_operator.kinds import EVENT, Manifest
from remora_operator.observed import Child, child_from
from remora_operator.podless import is_podless, newest_warning, with_its_reason
from tests.fakes.applications import NOW, pod
from tests.fakes.cluster import FakeCluster


def head(*, replicas: int = 1, kind: str = "StatefulSet") -> Child:
    metadata = {"name": "hello-head-1", "namespace": "shop", "uid": "u1", "creationTimestamp": NOW.isoformat()}
    return child_from({"kind": kind, "metadata": metadata, "spec": {"replicas": replicas}})


def event(name: str, note: str, *, at: int = 0, type: str = "Warning", uid: str = "u1", **more: Any) -> Manifest:
    return {
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": NOW.isoformat()},
        "type": type,
        "reason": "FailedCreate",
        "note": note,
        "regarding": {"uid": uid},
        "eventTime": (NOW + timedelta(seconds=at)).isoformat(),
    } | more


LATER = NOW + timedelta(seconds=3)


def test_a_set_has_no_pod_only_after_a_while_and_if_it_should_have_one() -> None:
    mine = pod("hello-head-1-0", Component.HEAD)
    other = pod("hello-head-11-0", Component.HEAD)
    assert is_podless(head(), [], LATER)
    assert is_podless(head(), [other], LATER)
    assert not is_podless(head(), [mine, other], LATER)
    assert not is_podless(head(), [], NOW)
    assert not is_podless(head(replicas=0), [], LATER)
    assert not is_podless(head(kind="ReplicaSet"), [], LATER)


def test_the_warning_that_was_said_last_counts() -> None:
    newest = event("d", "late", series={"lastObservedTime": (NOW + timedelta(seconds=9)).isoformat()})
    older = {"eventTime": None, "deprecatedLastTimestamp": (NOW + timedelta(seconds=5)).isoformat()}
    events = [event("a", "early"), event("b", "made", at=20, type="Normal"), event("c", "old", **older)]
    assert newest_warning([]) == ""
    assert newest_warning(events) == "FailedCreate: old"
    assert newest_warning([newest, *events]) == "FailedCreate: late"


async def test_its_own_events_are_asked_for() -> None:
    cluster = FakeCluster()
    await cluster.create(EVENT, event("a", "no account"))
    await cluster.create(EVENT, event("b", "of another", at=5, uid="u2"))
    assert (await with_its_reason(cluster, head())).trouble == "FailedCreate: no account"


async def test_events_that_cannot_be_read_hold_nothing_up() -> None:
    cluster = FakeCluster()
    cluster.fails.add("list Event shop")
    assert "cannot be read" in (await with_its_reason(cluster, head())).trouble
