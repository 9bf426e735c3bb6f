"""A reconcile as a whole, on an API server in memory: what is written, when, and what happens when that fails."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from remora_api.v1alpha1 import ServeApplication
from remora_operator.apply import Applier
from remora_operator.contacts import Link, Push
from remora_operator.errors import NotLeading, Permanent, Transient
from remora_operator.handlers import Watcher
from remora_operator.kinds import CONFIG_MAP, DEPLOYMENT, POD, SERVE_APPLICATION, SERVICE, STATEFUL_SET, Key
from remora_operator.metrics import Metrics
from remora_operator.observe import Observer
from remora_operator.queue import Backoff, WorkQueue
from remora_operator.reconciler import NEXT_STEP_S, Reconciler
from remora_operator.relist import Relist
from remora_operator.resources import head
from remora_operator.resources.metadata import Owner
from remora_operator.store import Store
from tests.fakes.applications import INSTALLATION, NOW, manifest
from tests.fakes.cluster import FakeCluster

HELLO = Key("shop", "hello")


class Links:
    """Controllers that nobody reaches."""

    def __init__(self) -> None:
        self.wanted: tuple[Link, ...] = ()

    def views(self, key: Key) -> dict[int, Any]:
        return {}

    def follow(self, key: Key, wanted: tuple[Link, ...]) -> None:
        self.wanted = wanted


class Pushes:
    """Proxies that take what they are given."""

    def __init__(self) -> None:
        self.wanted: Push | None = None

    def routed(self, key: Key) -> dict[str, int]:
        return {}

    def follow(self, key: Key, push: Push | None) -> None:
        self.wanted = push

    def forget(self, key: Key) -> None:
        self.wanted = None


class Watches:
    """Proxies that say nothing."""

    def activity(self, key: Key) -> dict[str, Any]:
        return {}

    def follow(self, key: Key, wanted: tuple[Any, ...]) -> None:
        return


class Figures:
    """Proxies that have counted nothing."""

    def of(self, key: Key) -> tuple[()]:
        return ()

    def follow(self, key: Key, watch: object) -> None:
        pass


class Bench:
    """A reconciler with fakes around it."""

    def __init__(self) -> None:
        self.now: datetime = NOW
        self.woken: list[Key] = []
        self.leads = True
        self.cluster, self.store, self.links, self.pushes = FakeCluster(), Store(), Links(), Pushes()
        watches = Watches()
        self.observer = Observer(self.cluster, self.store, self.links, self.pushes, watches, Figures())  # type: ignore[arg-type]
        queue: WorkQueue[Key] = WorkQueue(concurrency=1, backoff=Backoff(), clock=lambda: 0.0)
        self.reconciler = Reconciler(
            INSTALLATION,
            queue,
            self.store,
            self.observer,
            Applier(self.cluster, self.store, self.observer, self._may_write, "me"),
            self.links,  # type: ignore[arg-type]
            self.pushes,  # type: ignore[arg-type]
            watches,  # type: ignore[arg-type]
            Figures(),  # type: ignore[arg-type]
            Metrics(lambda: 0.0),
            lambda: self.now,
            lambda: 0.0,
        )
        self.relist = Relist(self.cluster, self.store, (), self.woken.append)
        self.watcher = Watcher(self.store, self.woken.append, self.observer.users_of, Metrics(lambda: 0.0))

    def _may_write(self) -> None:
        if not self.leads:
            raise NotLeading("not leading")

    async def create(self, **spec: Any) -> None:
        await self.cluster.create(SERVE_APPLICATION, manifest(**spec))
        await self.relist.once()
        self.cluster.calls.clear()

    async def reconcile(self) -> list[str]:
        """Reconcile once; return what was written."""
        self.cluster.calls.clear()
        await self.reconciler.reconcile(HELLO)
        return self.cluster.writes

    def condition(self, kind: str) -> dict[str, Any]:
        found = self.cluster.objects[SERVE_APPLICATION, "shop", "hello"]["status"]["conditions"]
        return next((it for it in found if it["type"] == kind), {})


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_second_reconcile_writes_nothing(bench: Bench) -> None:
    await bench.create()
    first = await bench.reconcile()
    assert "apply StatefulSet hello-head-1" in first
    assert await bench.reconcile() == []


async def test_after_a_step_it_looks_again_though_its_own_write_is_no_news(bench: Bench) -> None:
    await bench.create()
    await bench.reconcile()
    await bench.cluster.merge(SERVE_APPLICATION, "shop", "hello", {"spec": {"proxy": {"replicas": 5}}})
    await bench.relist.once()
    assert await bench.reconciler.work(HELLO) == NEXT_STEP_S
    bench.woken.clear()
    bench.watcher.saw(DEPLOYMENT, "MODIFIED", bench.cluster.objects[DEPLOYMENT, "shop", "hello-proxy"])
    assert bench.woken == [], "what was written by itself wakes nobody"
    assert await bench.reconciler.work(HELLO) != NEXT_STEP_S
    assert bench.cluster.objects[DEPLOYMENT, "shop", "hello-proxy"]["spec"]["replicas"] == 5


async def test_everything_belongs_to_the_resource_and_the_resource_gets_no_finalizer(bench: Bench) -> None:
    await bench.create()
    await bench.reconcile()
    for (kind, _, _), it in bench.cluster.objects.items():
        if kind.name not in ("ServeApplication", "Event"):
            assert it["metadata"]["ownerReferences"][0]["uid"] == "uid-hello", it
    resource = bench.cluster.objects[SERVE_APPLICATION, "shop", "hello"]["metadata"]
    assert not {"finalizers", "annotations"} & set(resource)


async def test_the_state_that_changed_is_told_by_one_event(bench: Bench) -> None:
    await bench.create()
    assert sum(call.startswith("create Event") for call in await bench.reconcile()) == 1
    assert sum(call.startswith("create Event") for call in await bench.reconcile()) == 0


async def test_a_change_by_hand_is_undone(bench: Bench) -> None:
    await bench.create()
    await bench.reconcile()
    await bench.cluster.merge(SERVICE, "shop", "hello", {"spec": {"selector": {"remora.dev/component": "cake"}}})
    await bench.relist.once()
    assert await bench.reconcile() == ["apply Service hello"]


async def test_an_object_of_somebody_else_is_not_taken_over(bench: Bench) -> None:
    await bench.create()
    await bench.cluster.create(SERVICE, {"metadata": {"name": "hello", "namespace": "shop"}, "kind": "Service"})
    with pytest.raises(Permanent, match="Service hello exists and does not belong"):
        await bench.reconcile()
    assert bench.condition("Stalled")["reason"] == "ApplyFailed"
    assert "spec" not in bench.cluster.objects[SERVICE, "shop", "hello"]


async def test_what_somebody_else_has_labelled_as_ours_is_never_deleted(bench: Bench) -> None:
    """Not by a rollout, and not when everything of the application goes."""
    await bench.create()
    await bench.reconcile()
    (made,) = (
        it for (kind, _, name), it in bench.cluster.objects.items() if (kind, name) == (DEPLOYMENT, "hello-proxy")
    )
    labels = made["metadata"]["labels"]
    for name, owners in (("backup", []), ("of-the-past", [{"uid": "uid-of-the-past"}])):
        metadata = {"name": name, "namespace": "shop", "labels": labels, "ownerReferences": owners}
        await bench.cluster.create(DEPLOYMENT, {"metadata": metadata, "kind": "Deployment"})
        await bench.cluster.create(CONFIG_MAP, {"metadata": metadata, "kind": "ConfigMap"})
    written: list[str] = []
    for spec in ({"image": "user/another:1"}, {"suspend": True}):
        await bench.cluster.merge(SERVE_APPLICATION, "shop", "hello", {"spec": spec})
        for _ in range(4):
            await bench.relist.once()
            written += await bench.reconcile()
    assert "delete Deployment hello-proxy" in written, "it deletes what is its own"
    assert not [it for it in written if "backup" in it or "of-the-past" in it]
    left = {(kind, name) for kind, _, name in bench.cluster.objects}
    assert {(kind, name) for kind in (DEPLOYMENT, CONFIG_MAP) for name in ("backup", "of-the-past")} <= left


async def test_nothing_is_written_by_who_does_not_lead(bench: Bench) -> None:
    await bench.create()
    bench.leads = False
    with pytest.raises(NotLeading):
        await bench.reconcile()
    assert bench.cluster.writes == []


async def test_what_failed_is_done_the_next_time(bench: Bench) -> None:
    await bench.create()
    bench.cluster.fails.add("apply Service hello")
    with pytest.raises(Transient):
        await bench.reconcile()
    bench.cluster.fails.clear()
    assert "apply Service hello" in await bench.reconcile()


async def test_code_in_a_config_map_is_read_when_it_changes_and_not_before(bench: Bench) -> None:
    await bench.create(code={"configMap": {"name": "code"}})
    await bench.reconcile()
    assert bench.condition("Stalled")["reason"] == "CodeNotFound"
    assert list(bench.links.wanted) == []

    def code(text: str) -> dict[str, Any]:
        return {"metadata": {"name": "code", "namespace": "shop"}, "data": {"hello.py": text}}

    await bench.cluster.create(CONFIG_MAP, code("one"))
    # Only a controller whose head has started is told anything.
    owner = Owner.of(ServeApplication.from_manifest(bench.cluster.objects[SERVE_APPLICATION, "shop", "hello"]))
    await bench.cluster.create(CONFIG_MAP, head.born_mark(owner, 1))
    await bench.relist.once()
    revisions: list[str] = []
    for text in ("one", "two"):
        await bench.cluster.merge(CONFIG_MAP, "shop", "code", code(text))
        stored = bench.cluster.objects[CONFIG_MAP, "shop", "code"]
        bench.woken.clear()
        bench.watcher.saw(CONFIG_MAP, "MODIFIED", stored)
        assert bench.woken == [HELLO]
        await bench.reconcile()
        (link,) = bench.links.wanted
        target = link.target
        assert target is not None
        assert target.code is not None
        assert target.code.files == {"hello.py": text}
        revisions.append(target.revision)
        await bench.reconcile()
        assert "get ConfigMap code" not in bench.cluster.calls
    assert revisions[0] != revisions[1]


async def test_secrets_are_made_again_when_they_may_have_gone(bench: Bench) -> None:
    await bench.create()
    assert sum(call.startswith("create Secret") for call in await bench.reconcile()) == 4
    bench.now += timedelta(minutes=11)
    assert sum(call.startswith("create Secret") for call in await bench.reconcile()) == 4
    assert not any(call.startswith(("get Secret", "list Secret")) for call in bench.cluster.calls)


async def test_an_application_that_is_gone_is_let_go(bench: Bench) -> None:
    await bench.create()
    await bench.reconcile()
    bench.watcher.saw(SERVE_APPLICATION, "DELETED", bench.cluster.objects[SERVE_APPLICATION, "shop", "hello"])
    assert await bench.reconcile() == []
    assert bench.links.wanted == ()


async def test_one_that_is_being_deleted_is_left_to_kubernetes(bench: Bench) -> None:
    await bench.create()
    resource = bench.cluster.objects[SERVE_APPLICATION, "shop", "hello"]
    resource["metadata"] |= {"deletionTimestamp": "2026-11-21T12:00:00Z", "resourceVersion": "99"}
    bench.watcher.saw(SERVE_APPLICATION, "MODIFIED", resource)
    assert await bench.reconcile() == []


async def test_pods_of_a_deleted_resource_of_the_same_name_are_not_ours(bench: Bench) -> None:
    await bench.create()
    await bench.reconcile()
    stateful_set = bench.cluster.objects[STATEFUL_SET, "shop", "hello-head-1"]["metadata"]["uid"]

    def head(name: str, owner: str) -> dict[str, Any]:
        labels = {"remora.dev/application": "hello", "remora.dev/component": "head", "remora.dev/incarnation": "1"}
        return {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": name,
                "resourceVersion": "7",
                "creationTimestamp": "2026-11-21T12:00:00Z",
                "labels": labels,
                "ownerReferences": [{"uid": owner}],
            }
        }

    bench.store.put(POD, head("ours", stateful_set))
    bench.store.put(POD, head("theirs", "uid-of-the-past"))
    application = ServeApplication.from_manifest(manifest())
    assert [it.name for it in (await bench.observer.observe(HELLO, application, NOW)).pods] == ["ours"]


async def test_a_stored_resource_that_no_longer_holds_to_the_schema_says_so_and_keeps_its_pods(bench: Bench) -> None:
    await bench.create()
    await bench.reconcile()
    children = set(bench.cluster.objects)
    resource = bench.cluster.objects[SERVE_APPLICATION, "shop", "hello"]
    resource["spec"]["replicas"] = "many"
    resource["metadata"]["resourceVersion"] = "999"
    bench.watcher.saw(SERVE_APPLICATION, "MODIFIED", resource)
    assert "apply ServeApplication hello/status" in await bench.reconcile()
    assert bench.condition("Stalled")["reason"] == "InvalidSpec"
    assert "spec.replicas" in bench.condition("Stalled")["message"]
    assert children <= set(bench.cluster.objects)
