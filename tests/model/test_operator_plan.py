"""The plan against a small world: pods that come up and go, a controller that follows its target, a user who changes
her mind. Whatever the order: no ReplicaSet deletes a pod with replicas, requests always have somewhere to go, and
once the world is quiet the application is Ready and the plan is empty.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remora_api import wire
from remora_api.meta import Component, Label
from remora_api.v1alpha1 import ServeApplication
from remora_operator.kinds import DEPLOYMENT, REPLICA_SET, STATEFUL_SET, Manifest, Ref, ref_of
from remora_operator.observed import Child, ControllerView, Exit, Observed, Pod, child_from
from remora_operator.plan import Plan, plan
from remora_operator.resources.head import LOST_STORE
from remora_operator.scale import deletion_rank
from tests.fakes.applications import INSTALLATION, NOW, manifest, pod


@dataclass
class Controller:
    """Follows its target at once, but drains a node only when told and not before there is room elsewhere."""

    target: wire.Target | None = None
    replicas: dict[str, int] = field(default_factory=dict)
    """By pod."""
    epoch: str = "e"
    version: int = 0


@dataclass
class World:
    """Kubernetes and Ray, as far as a plan can tell."""

    resource: Manifest
    now: datetime = NOW
    children: dict[Ref, Manifest] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    controllers: dict[int, Controller] = field(default_factory=dict)
    routed: dict[str, int] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    reachable: bool = True
    counter: Any = field(default_factory=itertools.count)
    writes: int = 0

    @property
    def application(self) -> ServeApplication:
        return ServeApplication.from_manifest(self.resource)

    def observed(self) -> Observed:
        return Observed(
            children={ref: child_from(it) for ref, it in self.children.items()},
            pods=tuple(self.pods.values()),
            controllers={number: self._view(number) for number in self.controllers},
            secrets=frozenset(self.secrets),
            routed=dict(self.routed),
        )

    def reconcile(self) -> Plan:
        """Reconcile several times before anything else moves: what was written shows at once, its effect later."""
        for _ in range(3):
            decided = self._reconcile()
        return decided

    def _reconcile(self) -> Plan:
        decided = plan(self.application, self.observed(), INSTALLATION, self.now)
        self.secrets |= {it["metadata"]["name"] for it in decided.secrets}
        for it in decided.applies:
            stored = copy.deepcopy(it)
            stored["metadata"]["uid"] = f"u{next(self.counter)}"
            self.children[ref_of(it)] = stored
        for name, cost in decided.costs:
            self.pods[name] = replace(self.pods[name], deletion_cost=cost)
        for ref, replicas in decided.resizes:
            self.children[ref]["spec"]["replicas"] = replicas
        for child in decided.deletes:
            self._delete(child)
        self.controllers = {it.incarnation: self.controllers.get(it.incarnation, Controller()) for it in decided.links}
        for link in decided.links:
            if link.target is not None and self.reachable:
                self.controllers[link.incarnation].target = link.target
        if decided.push is not None:
            self.routed |= {boot: decided.push.routing.version for boot, _ in decided.push.proxies}
        if decided.status is not None:
            self.resource["status"] = decided.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        return decided

    def tick(self) -> None:
        """Kubernetes and Ray make a step."""
        self.now += timedelta(seconds=5)
        for ref, it in list(self.children.items()):
            if ref.kind in (STATEFUL_SET, REPLICA_SET, DEPLOYMENT):
                self._size(ref, it)
        for name, it in self.pods.items():
            lost = any(end.code == LOST_STORE for end in it.exits)
            if not it.is_ready and not lost:
                started = frozenset({"ray", "controller", "worker", "proxy"})
                self.pods[name] = replace(
                    it, is_ready=True, phase="Running", node="n1", ready_since=self.now, started=started
                )
        for number, controller in self.controllers.items():
            self._serve(number, controller)

    def _size(self, ref: Ref, it: Manifest) -> None:
        wanted = it["spec"]["replicas"]
        mine = [name for name, owner in self.owners().items() if owner == ref]
        for _ in range(wanted - len(mine)):
            name = f"{ref.name}-{next(self.counter)}"
            labels = it["spec"]["template"]["metadata"]["labels"]
            self.pods[name] = pod(
                name,
                Component(labels[Label.COMPONENT]),
                incarnation=int(labels.get(Label.INCARNATION, 0)),
                group=labels.get(Label.GROUP, ""),
                template=labels.get(Label.POD_TEMPLATE_HASH, ""),
                is_ready=False,
                ready_since=None,
                phase="Pending",
                node="",
                created=self.now,
                started=frozenset(),
                ip=f"10.0.0.{len(self.pods) % 250}",
            )
        doomed = sorted(mine, key=lambda name: deletion_rank(self.pods[name]))[: max(0, len(mine) - wanted)]
        for name in doomed:
            held = sum(it.replicas.get(name, 0) for it in self.controllers.values())
            assert held == 0, f"{ref} deleted {name} with {held} replicas on it"
            del self.pods[name]

    def owners(self) -> dict[str, Ref]:
        return {
            name: next((ref for ref in self.children if name.startswith(f"{ref.name}-") and self._owns(ref, it)), None)
            for name, it in self.pods.items()
        }

    def _owns(self, ref: Ref, it: Pod) -> bool:
        kinds = {Component.HEAD: STATEFUL_SET, Component.WORKER: REPLICA_SET, Component.PROXY: DEPLOYMENT}
        return ref.kind is kinds[it.component]

    def _delete(self, child: Child) -> None:
        gone = [name for name, owner in self.owners().items() if owner == child.ref]
        if child.ref.kind is REPLICA_SET and child.incarnation in self.controllers:
            held = sum(self.controllers[child.incarnation].replicas.get(name, 0) for name in gone)
            serving = self.serving()
            stops = self.application.spec.suspend
            assert not held or stops or serving != child.incarnation, f"{child.ref} was deleted with {held} replicas"
        for name in gone:
            del self.pods[name]
        del self.children[child.ref]

    def serving(self) -> int:
        routing = next(it for ref, it in self.children.items() if ref.name.endswith("-routing"))
        return int(routing["metadata"]["annotations"]["remora.dev/incarnation"])

    def weights(self) -> list[tuple[str, int]]:
        routing = next(it for ref, it in self.children.items() if ref.name.endswith("-routing"))
        (routed,) = wire.Routing.model_validate_json(routing["data"]["routing.json"]).applications
        return [(it.url.removeprefix("http://").partition(".")[0], it.weight) for it in routed.controllers]

    def _nodes(self, number: int) -> dict[str, Pod]:
        return {
            name: it
            for name, it in self.pods.items()
            if it.component is Component.WORKER and it.incarnation == number and it.is_ready
        }

    def _serve(self, number: int, controller: Controller) -> None:
        nodes = self._nodes(number)
        controller.replicas = {name: count for name, count in controller.replicas.items() if name in nodes}
        target = controller.target
        if target is None or not self._head_ready(number):
            return
        wanted = {(it.name, it.template) for it in target.groups}
        good = [
            name for name, it in nodes.items() if (it.group, it.template) in wanted and name not in target.drain_nodes
        ]
        desired = target.ingress_replicas or 0
        for name in sorted(good):
            room = 2 - controller.replicas.get(name, 0)
            missing = desired - sum(controller.replicas.get(it, 0) for it in good)
            controller.replicas[name] = controller.replicas.get(name, 0) + max(0, min(room, missing))
        for name in sorted(good, reverse=True):
            surplus = sum(controller.replicas.get(it, 0) for it in good) - desired
            controller.replicas[name] = max(0, controller.replicas.get(name, 0) - max(0, surplus))
        if sum(controller.replicas.get(it, 0) for it in good) >= desired:
            controller.replicas = {name: controller.replicas.get(name, 0) for name in good}

    def _head_ready(self, number: int) -> bool:
        return any(
            it.component is Component.HEAD and it.incarnation == number and it.is_ready for it in self.pods.values()
        )

    def _view(self, number: int) -> ControllerView:
        controller = self.controllers[number]
        if not self.reachable or not self._head_ready(number):
            return ControllerView(is_reachable=False)
        target, nodes = controller.target, self._nodes(number)
        ready = sum(controller.replicas.values())
        drained = target.drain_nodes if target else ()
        applications = ()
        if target is not None:
            built = wire.BuildState.BUILT if nodes else wire.BuildState.WAITING
            on_target = sum(
                count
                for name, count in controller.replicas.items()
                if nodes[name].template in {it.template for it in target.groups}
            )
            desired = target.ingress_replicas or 0
            applications = (
                wire.ApplicationStatus(
                    application=target.application,
                    generation=target.generation,
                    revision=target.revision,
                    build=wire.BuildStatus(state=built),
                    deployments=(
                        wire.DeploymentStatus(
                            name="Ingress",
                            ingress=True,
                            desired=desired,
                            ready=ready,
                            updated=on_target,
                            total=ready,
                            version="v",
                            resources=wire.Resources(cpu_milli=500),
                            spread=False,
                        ),
                    )
                    if nodes
                    else (),
                ),
            )
        return ControllerView(
            is_reachable=True,
            status=wire.ControllerStatus(
                epoch=controller.epoch,
                version=1,
                ray_version="2.60.0",
                remora_version="0.1.0",
                applications=applications,
                nodes=tuple(
                    wire.NodeStatus(
                        name=name,
                        group=it.group,
                        template=it.template,
                        replicas=controller.replicas.get(name, 0),
                        draining=name in drained,
                    )
                    for name, it in nodes.items()
                ),
            ),
        )

    # ── what happens to it ──

    def change(self, **spec: Any) -> None:
        self.resource["spec"] |= spec
        self.resource["metadata"]["generation"] += 1

    def lose_head(self) -> None:
        for name, it in self.pods.items():
            if it.component is Component.HEAD:
                self.pods[name] = replace(
                    it, is_ready=False, started=frozenset(), exits=(Exit("ray", LOST_STORE, "LostStore"),)
                )

    def kill_worker(self) -> None:
        workers = sorted(name for name, it in self.pods.items() if it.component is Component.WORKER)
        if workers:
            del self.pods[workers[0]]
            for controller in self.controllers.values():
                controller.replicas.pop(workers[0], None)

    def settle(self, rounds: int = 60) -> None:
        for _ in range(rounds):
            self.reconcile()
            self.tick()
            decided = plan(self.application, self.observed(), INSTALLATION, self.now)
            if decided.writes_nothing and decided.push is None and self.is_ready():
                return
        raise AssertionError(f"not settled: {self.resource.get('status')} {self.children.keys()} {self.pods.keys()}")

    def is_ready(self) -> bool:
        status = self.application.status
        ready = status.condition("Ready")
        return ready is not None and ready.status.value == "True" and ready.observed_generation == self.generation

    @property
    def generation(self) -> int:
        generation: int = self.resource["metadata"]["generation"]
        return generation


def fresh(**spec: Any) -> World:
    return World(manifest(replicas=1, **spec))


def test_an_application_comes_up_and_then_nothing_is_written() -> None:
    world = fresh()
    world.settle()
    assert world.serving() == 1
    assert {ref.kind.name for ref in world.children} == {
        "ServiceAccount",
        "ConfigMap",
        "NetworkPolicy",
        "Service",
        "StatefulSet",
        "ReplicaSet",
        "Deployment",
        "PodDisruptionBudget",
    }
    assert plan(world.application, world.observed(), INSTALLATION, world.now).writes_nothing


def test_no_worker_before_the_mark_that_the_ray_cluster_was_born() -> None:
    world = fresh()
    for _ in range(10):
        names = [ref.name for ref in world.children]
        if any(ref.kind is REPLICA_SET for ref in world.children):
            assert "hello-head-1-born" in names
        world.reconcile()
        world.tick()


def test_a_later_operator_with_another_image_changes_nothing() -> None:
    world = fresh()
    world.settle()
    later = replace(INSTALLATION, runtime_image="remora.dev/runtime:2")
    assert plan(world.application, world.observed(), later, world.now).writes_nothing


def test_another_leader_that_has_heard_of_nobody_writes_nothing() -> None:
    world = fresh()
    world.settle()
    observed = replace(world.observed(), controllers={}, secrets=frozenset(world.secrets))
    assert plan(world.application, observed, INSTALLATION, world.now).writes_nothing


def test_replicas_change_without_another_pod_template() -> None:
    world = fresh()
    world.settle()
    templates = {ref for ref in world.children if ref.kind is REPLICA_SET}
    world.change(replicas=6)
    world.settle()
    assert {ref for ref in world.children if ref.kind is REPLICA_SET} == templates
    assert sum(it.component is Component.WORKER for it in world.pods.values()) == 3
    world.change(replicas=1)
    world.settle()
    assert sum(it.component is Component.WORKER for it in world.pods.values()) == 1


def test_another_environment_rolls_the_workers_and_leaves_the_head_alone() -> None:
    world = fresh()
    world.settle()
    heads = {ref for ref in world.children if ref.kind is STATEFUL_SET}
    old = {ref for ref in world.children if ref.kind is REPLICA_SET}
    world.change(env=[{"name": "MODEL", "value": "small"}])
    world.settle()
    assert {ref for ref in world.children if ref.kind is STATEFUL_SET} == heads
    new = {ref for ref in world.children if ref.kind is REPLICA_SET}
    assert len(new) == 1
    assert not new & old


def test_a_lost_head_is_replaced_beside_the_old_workers() -> None:
    world = fresh()
    world.settle()
    world.lose_head()
    world.reconcile()
    world.tick()
    assert {it.incarnation for it in world.observed().heads().values()} == {1, 2}
    assert world.serving() == 1
    world.reconcile()
    assert world.weights() == [("hello-head-1", 100), ("hello-head-2", 0)]
    world.settle()
    assert world.weights() == [("hello-head-2", 100)]
    assert world.serving() == 2
    assert {it.incarnation for it in world.pods.values() if it.component is not Component.PROXY} == {2}


def test_suspended_leaves_no_pod_and_comes_back() -> None:
    world = fresh()
    world.settle()
    world.change(suspend=True)
    for _ in range(5):
        world.reconcile()
        world.tick()
    assert not world.pods
    assert not any(ref.kind in (STATEFUL_SET, REPLICA_SET, DEPLOYMENT) for ref in world.children)
    world.change(suspend=False)
    world.settle()


STEPS = st.one_of(
    st.builds(lambda n: ("replicas", n), st.integers(1, 8)),
    st.builds(lambda n: ("env", n), st.integers(0, 2)),
    st.builds(lambda n: ("image", n), st.integers(0, 1)),
    st.just(("lose head", 0)),
    st.just(("kill worker", 0)),
    st.just(("away", 0)),
    st.builds(lambda n: ("wait", n), st.integers(1, 4)),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=8))
def test_whatever_happens_it_settles_and_no_busy_pod_is_deleted(steps: list[tuple[str, int]]) -> None:
    world = fresh()
    for what, number in steps:
        world.reachable = True
        match what:
            case "replicas":
                world.change(replicas=number)
            case "env":
                world.change(env=[{"name": "N", "value": str(number)}])
            case "image":
                world.change(image=f"user/image:{number}")
            case "lose head":
                world.lose_head()
            case "kill worker":
                world.kill_worker()
            case "away":
                world.reachable = False
        for _ in range(number if what == "wait" else 1):
            world.reconcile()
            world.tick()
    world.reachable = True
    world.settle()
