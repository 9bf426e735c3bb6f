"""Reconciling paused by annotation: whatever happens meanwhile, nothing but the status is written; then all is done."""

from __future__ import annotations

import pytest

from remora_api.meta import Annotation
from remora_operator import events
from remora_operator.kinds import DEPLOYMENT, REPLICA_SET
from remora_operator.plan import Plan, plan
from tests.fakes.applications import INSTALLATION
from tests.fakes.operator_world import World, fresh


def pause(world: World, value: str = "true") -> None:
    world.resource["metadata"].setdefault("annotations", {})[Annotation.PAUSED] = value


def touches_nothing(decided: Plan) -> bool:
    written = (decided.secrets, decided.applies, decided.resizes, decided.costs, decided.deletes)
    told = any(link.target is not None or link.leaves for link in decided.links)
    return not any(written) and not told and decided.push is None


@pytest.mark.parametrize(
    "spec",
    [
        {"replicas": 3},
        {"env": [{"name": "N", "value": "1"}]},
        {"importPath": "new:app"},
        {"image": "user/new:1"},
        {"suspend": True},
        {"proxy": {"replicas": 3}},
        {"routePrefix": "/x"},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_a_change_waits_is_told_and_is_made_afterwards(spec: dict[str, object]) -> None:
    world = fresh(replicas=2)
    world.settle()
    pause(world)
    world.change(**spec)
    for _ in range(100):
        # Longer than any deadline.
        assert touches_nothing(world.reconcile())
        world.tick()
    assert world.condition("Paused").status.value == "True"
    ready = world.condition("Ready")
    assert (ready.status.value, ready.reason) == ("False", "ReconcilePaused")
    assert world.condition("Available").status.value == "True"
    assert world.capacity() == 2
    pause(world, "false")
    world.settle(stalled="suspend" in spec)
    assert world.application.status.condition("Paused") is None
    assert not any(it.phase == "RolledBack" for it in world.application.status.revisions)


def test_what_others_break_is_told_and_left_as_it_is() -> None:
    world = fresh(replicas=2)
    world.settle()
    pause(world)
    proxy = next(ref for ref in world.children if ref.kind is DEPLOYMENT)
    world.children[proxy]["spec"]["replicas"] = 0
    world.kill_worker()
    for ref in [ref for ref in world.children if ref.kind is REPLICA_SET]:
        world.children[ref]["spec"]["replicas"] = 0
    for _ in range(5):
        assert touches_nothing(world.reconcile())
        world.tick()
    assert world.application.status.proxy is not None
    assert world.application.status.proxy.ready == 0
    assert world.condition("Available").status.value == "False"
    pause(world, "no")
    world.settle()


def test_an_application_that_is_as_wanted_stays_ready_and_two_events_tell_of_the_pause() -> None:
    world = fresh()
    world.settle()
    before = world.application.status
    pause(world)
    world.reconcile()
    during = world.application.status
    assert world.is_ready()
    assert [it.reason for it in events.changes(before, during)] == ["ReconcilePaused"]
    assert plan(world.application, world.observed(), INSTALLATION, world.now).writes_nothing
    pause(world, "")
    world.reconcile()
    assert [it.reason for it in events.changes(during, world.application.status)] == ["ReconcileResumed"]


def test_a_new_application_waits_for_the_first_word() -> None:
    world = fresh()
    pause(world)
    for _ in range(5):
        assert touches_nothing(world.reconcile())
        world.tick()
    assert world.children == {}
    pause(world, "")
    world.settle()
