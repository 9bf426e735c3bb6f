"""An application at zero and back in the small world of the plan: what goes, in which order, and what comes again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from remora_api import wire
from remora_api.meta import Annotation, Component
from remora_operator.kinds import SERVICE, STATEFUL_SET, Ref
from remora_operator.observed import Observed
from remora_operator.plan import Plan
from tests.fakes.applications import manifest
from tests.fakes.operator_world import World


@dataclass
class SleepyWorld(World):
    """The world with proxies that say what they have to do."""

    activity: wire.Activity = wire.Activity.ACTIVE
    listened: set[str] = field(default_factory=set)

    def observed(self) -> Observed:
        seen = super().observed()
        said = wire.ApplicationActivity(application="hello", activity=self.activity)
        spoken = wire.ProxyActivity(epoch="e", version=1, applications=(said,))
        return Observed(
            children=seen.children,
            pods=seen.pods,
            controllers=seen.controllers,
            secrets=seen.secrets,
            routed=seen.routed,
            activity=dict.fromkeys(self.listened, spoken),
        )

    def _reconcile(self) -> Plan:
        decided = super()._reconcile()
        self.listened = {it.boot for it in decided.watches}
        for controller in self.controllers.values():
            if controller.target is not None and controller.target.asleep:
                controller.target = controller.target.but(ingress_replicas=0)
        return decided

    def count(self, component: Component) -> int:
        return sum(it.component is component for it in self.pods.values())

    def rounds(self, number: int) -> None:
        for _ in range(number):
            self.reconcile()
            self.tick()


def sleepy(**zero: Any) -> SleepyWorld:
    world = SleepyWorld(manifest(replicas=3, scaleToZero={"idleSeconds": 20, **zero}))
    world.settle()
    return world


@pytest.mark.parametrize("head", ["Keep", "Zero"])
def test_at_zero_only_the_proxies_stay_and_a_request_brings_all_back(head: str) -> None:
    world = sleepy(head=head)
    assert world.count(Component.WORKER) == 2
    world.rounds(10)
    assert world.application.status.asleep_since is None
    world.activity = wire.Activity.IDLE
    world.rounds(15)
    status = world.application.status
    assert status.asleep_since is not None
    assert world.is_ready()
    assert world.condition("Ready").reason == "Asleep"
    assert world.condition("Available").status.value == "True"
    assert status.ready == "0/0"
    assert world.count(Component.WORKER) == 0
    assert world.count(Component.PROXY) == 2
    heads = [ref for ref in world.children if ref.kind is STATEFUL_SET]
    assert (len(heads), world.count(Component.HEAD)) == ((1, 1) if head == "Keep" else (0, 0))
    assert Ref(SERVICE, "hello-head-1") in world.children, "its name is looked up meanwhile, and stays known"
    since = status.asleep_since
    world.rounds(20)
    assert world.application.status.asleep_since == since, "it sleeps on, and nothing flaps"

    world.activity = wire.Activity.WAITING
    world.rounds(1)
    assert world.application.status.asleep_since is None
    assert not world.is_ready()
    world.activity = wire.Activity.ACTIVE
    world.settle()
    assert world.count(Component.WORKER) == 2
    assert sum(world.controllers[world.serving()].replicas.values()) == 3


def test_pods_go_only_when_they_are_drained() -> None:
    """The world itself asserts that no ReplicaSet deletes a pod with replicas on it."""
    world = sleepy()
    world.activity = wire.Activity.IDLE
    world.now += timedelta(minutes=1)
    world.reconcile()
    assert world.application.status.asleep_since is not None
    assert world.count(Component.WORKER) == 2
    world.rounds(10)
    assert world.count(Component.WORKER) == 0


def test_a_changed_spec_is_served_before_it_sleeps_again() -> None:
    world = sleepy()
    world.activity = wire.Activity.IDLE
    world.rounds(15)
    world.change(env=[{"name": "A", "value": "2"}])
    world.settle()
    assert world.count(Component.WORKER) == 2
    world.rounds(15)
    assert world.application.status.asleep_since is not None
    assert world.count(Component.WORKER) == 0


def wakes(world: SleepyWorld) -> None:
    """A request comes: all replicas are back for it."""
    world.activity = wire.Activity.WAITING
    world.rounds(1)
    world.activity = wire.Activity.ACTIVE
    world.rounds(20)
    assert world.application.status.asleep_since is None
    assert world.count(Component.WORKER) == 2
    assert sum(world.controllers[world.serving()].replicas.values()) == 3


def test_a_request_wakes_it_also_while_its_rollout_is_paused() -> None:
    world = sleepy()
    world.change(rollout={"paused": True})
    world.settle()
    world.activity = wire.Activity.IDLE
    world.rounds(15)
    assert world.application.status.asleep_since is not None, "nothing is held back, so it sleeps as ever"
    wakes(world)
    assert world.is_ready()


def test_a_change_that_a_paused_rollout_holds_back_leaves_the_revision_before_awake() -> None:
    world = sleepy()
    world.activity = wire.Activity.IDLE
    world.rounds(15)
    assert world.application.status.asleep_since is not None
    world.change(importPath="new:app", rollout={"paused": True})
    world.rounds(40)
    status = world.application.status
    assert status.asleep_since is None, "what is not as wanted does not sleep"
    assert world.condition("Ready").reason == "Paused"
    assert world.condition("Available").status.value == "True"
    wakes(world)
    target = world.controllers[world.serving()].target
    assert target is not None
    assert target.import_path == "hello:app", "of the revision before"


def test_with_hands_off_nobody_wakes_it_until_they_are_on_again() -> None:
    world = sleepy()
    world.activity = wire.Activity.IDLE
    world.rounds(15)
    world.resource["metadata"].setdefault("annotations", {})[Annotation.PAUSED] = "true"
    world.rounds(2)
    assert world.application.status.asleep_since is not None
    world.activity = wire.Activity.WAITING
    world.rounds(20)
    assert world.count(Component.WORKER) == 0
    assert world.condition("Paused").status.value == "True"
    assert world.condition("Ready").reason == "ReconcilePaused"
    del world.resource["metadata"]["annotations"][Annotation.PAUSED]
    wakes(world)


def test_proxies_keep_requests_as_the_resource_says() -> None:
    world = sleepy(holdSeconds=30, maxHeldRequests=7, maxHeldBytes="1Mi")
    routing = next(it for ref, it in world.children.items() if ref.name.endswith("-routing"))
    (routed,) = wire.Routing.from_json(routing["data"]["routing.json"]).applications
    assert routed.hold == wire.Hold(requests=7, bytes=1 << 20, seconds=30, idle_s=20)
