"""Why something does not come up: asked of its events, and only when it says nothing itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from remora_api.meta import Component
from remora_operator.event_reasons import MOST_PODS, is_podless, is_silent, newest_warning, with_reasons
from remora_operator.kinds import EVENT, Manifest
from remora_operator.observed import Child, Pod, child_from
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
    older: dict[str, Any] = {"eventTime": None, "deprecatedLastTimestamp": (NOW + timedelta(seconds=5)).isoformat()}
    events = [event("a", "early"), event("b", "made", at=5, type="Normal"), event("c", "old", **older)]
    assert newest_warning([]) == ""
    assert newest_warning(events) == "FailedCreate: old"
    assert newest_warning([newest, *events]) == "FailedCreate: late"
    assert newest_warning([event("e", "goes on", at=10, type="Normal"), newest, *events]) == ""


async def test_its_own_events_are_asked_for() -> None:
    cluster = FakeCluster()
    await cluster.create(EVENT, event("a", "no account"))
    await cluster.create(EVENT, event("b", "of another", at=5, uid="u2"))
    children, _ = await with_reasons(cluster, "shop", [head()], (), LATER)
    assert [it.trouble for it in children] == ["FailedCreate: no account"]


async def test_events_that_cannot_be_read_hold_nothing_up() -> None:
    cluster = FakeCluster()
    cluster.fails.add("list Event shop")
    children, _ = await with_reasons(cluster, "shop", [head()], (), LATER)
    assert "cannot be read" in children[0].trouble


def silent(name: str = "hello-proxy-a", **given: Any) -> Pod:
    made: Pod = pod(name, Component.PROXY, is_ready=False)
    return replace(made, **{"phase": "Pending", "node": "n1", "boot": f"u-{name}/0", "created": NOW, **given})


def test_a_pod_is_silent_that_is_on_a_node_and_does_not_begin() -> None:
    late = NOW + timedelta(seconds=6)
    assert is_silent(silent(), late)
    assert not is_silent(silent(), LATER)
    assert not is_silent(silent(node=""), late)
    assert not is_silent(silent(phase="Running"), late)
    assert not is_silent(silent(trouble="container ray: ErrImagePull"), late)
    assert not is_silent(silent(deleting_since=NOW), late)


async def test_a_silent_pod_gets_the_words_of_its_events_and_a_few_are_asked_about() -> None:
    cluster, late = FakeCluster(), NOW + timedelta(seconds=6)
    pods = tuple(silent(f"hello-proxy-{index}") for index in range(MOST_PODS + 2))
    for index, it in enumerate(pods):
        await cluster.create(EVENT, event(f"e{index}", f"no volume {index}", uid=it.uid))
    cluster.calls.clear()
    _, told = await with_reasons(cluster, "shop", [], (pod("hello-head-1-0", Component.HEAD), *pods), late)
    assert [it.trouble for it in told[1:3]] == ["FailedCreate: no volume 0", "FailedCreate: no volume 1"]
    assert told[0].trouble == told[-1].trouble == ""
    assert cluster.calls == ["list Event shop"] * MOST_PODS
