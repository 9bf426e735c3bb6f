"""Names, overlays, pods as read, and the store."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from remora_api import wire
from remora_api.keys import Purpose
from remora_operator import names
from remora_operator.kinds import CONFIG_MAP, POD, SERVE_APPLICATION, SERVICE, Key
from remora_operator.observed import pod_from
from remora_operator.overlay import lay_over
from remora_operator.store import Store
from tests.fakes.applications import manifest

LONGEST = "a" * 40


@given(st.text("ab", min_size=1, max_size=40), st.text("cd-", min_size=1, max_size=15))
def test_names_fit(application: str, group: str) -> None:
    target = wire.GroupTarget(name=f"g{group}"[:15], template="12345678")
    assert len(names.worker(application, target)) <= 57
    assert len(names.head(application, 99999)) <= 52
    assert len(names.key(application, "uid", Purpose.CONTROL, 1)) <= 63


def test_names_that_are_cut_stay_apart() -> None:
    groups = [wire.GroupTarget(name=name, template="12345678") for name in ("a-long-name-001", "a-long-name-002")]
    assert len({names.worker(LONGEST, group) for group in groups}) == 2


def test_a_new_resource_of_the_same_name_has_secrets_of_its_own() -> None:
    assert names.key("hello", "one", Purpose.RAY, 1) != names.key("hello", "two", Purpose.RAY, 1)


def test_overlay_merges_maps_by_key_and_named_lists_by_name() -> None:
    base = {"a": 1, "containers": [{"name": "worker", "env": [{"name": "X", "value": "1"}], "args": ["worker"]}]}
    patch = {"b": 2, "containers": [{"name": "worker", "env": [{"name": "Y", "value": "2"}]}, {"name": "sidecar"}]}
    assert lay_over(base, patch) == {
        "a": 1,
        "b": 2,
        "containers": [
            {"name": "worker", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}], "args": ["worker"]},
            {"name": "sidecar"},
        ],
    }


def test_overlay_replaces_other_lists_and_null_takes_away() -> None:
    assert lay_over({"tolerations": [{"key": "a"}], "x": {"y": 1}}, {"tolerations": [], "x": {"y": None}}) == {
        "tolerations": [],
        "x": {},
    }


def raw_pod(**status: object) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {
            "name": "w",
            "namespace": "shop",
            "uid": "u",
            "creationTimestamp": "2026-11-21T12:00:00Z",
            "labels": {"remora.dev/application": "hello", "remora.dev/component": "worker"},
        },
        "status": status,
    }


def test_a_pod_says_why_it_does_not_run() -> None:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off"}
    ended = {"exitCode": 1, "message": "Traceback …\n  line\nValueError: no GPU\n"}
    container = {"name": "worker", "restartCount": 2, "state": {"waiting": waiting}, "lastState": {"terminated": ended}}
    pod = pod_from(raw_pod(phase="Running", containerStatuses=[container]))
    assert pod is not None
    assert pod.trouble == "container worker ended with exit code 1: ValueError: no GPU"
    assert pod.boot == "u/2"
    assert pod.exits[0].code == 1


def test_a_pod_that_does_not_fit_says_so() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}
    pod = pod_from(raw_pod(phase="Pending", conditions=[condition]))
    assert pod is not None
    assert pod.trouble == "Unschedulable: 0/2 nodes"


def test_a_pod_of_somebody_else_is_none_of_ours() -> None:
    raw = raw_pod(phase="Running")
    raw["metadata"]["labels"]["remora.dev/component"] = "cake"
    assert pod_from(raw) is None


# ── store ──


def stored(name: str, version: int, *, uid: str = "u", app: str = "hello") -> dict[str, object]:
    labels = {"remora.dev/application": app} if app else {}
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": labels,
            "managedFields": [{}],
        }
    }


HELLO = Key("shop", "hello")


def test_the_store_keeps_the_latest_and_ignores_what_comes_late() -> None:
    store = Store()
    assert store.put(SERVICE, stored("s", 5))
    assert not store.put(SERVICE, stored("s", 4))
    assert store.put(SERVICE, stored("s", 6))
    ((kind, kept),) = store.of(HELLO)
    assert kind is SERVICE
    assert kept["metadata"]["resourceVersion"] == "6"
    assert "managedFields" not in kept["metadata"]


def test_a_late_deletion_does_not_remove_a_successor() -> None:
    store = Store()
    store.put(SERVICE, stored("s", 7, uid="new"))
    store.remove(SERVICE, stored("s", 6, uid="old"))
    assert len(store.of(HELLO)) == 1


def test_a_list_shows_what_a_watch_has_missed() -> None:
    store = Store()
    store.put(SERVICE, stored("gone", 1))
    store.put(SERVICE, stored("newer-than-the-list", 9))
    missed = store.replace(SERVICE, "", [stored("found", 3, app="other")], version=5)
    assert missed == {HELLO, Key("shop", "other")}
    assert [it["metadata"]["name"] for _, it in store.of(HELLO)] == ["newer-than-the-list"]


def test_applications_are_those_that_exist() -> None:
    store = Store()
    store.put(POD, stored("p", 1))
    assert store.applications() == []
    store.put(SERVE_APPLICATION, manifest())
    assert store.applications() == [HELLO]
    store.remove(SERVE_APPLICATION, manifest())
    assert store.application(HELLO) is None


def test_of_users_config_maps_only_the_version_is_kept() -> None:
    store = Store()
    assert store.put(CONFIG_MAP, stored("code", 3, app=""))
    assert not store.put(CONFIG_MAP, stored("code", 3, app=""))
    assert store.config_map_version(Key("shop", "code")) == "3"
