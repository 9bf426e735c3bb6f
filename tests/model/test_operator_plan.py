"""The plan against a small world: pods that come up and go, a controller that follows its target, a user who changes
her mind. Whatever the order: no ReplicaSet deletes a pod with replicas, requests always have somewhere to go, and
once the world is quiet the application is Ready and the plan is empty.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remora_api.meta import Component
from remora_operator.kinds import DEPLOYMENT, REPLICA_SET, STATEFUL_SET
from remora_operator.plan import plan
from tests.fakes.applications import INSTALLATION
from tests.fakes.operator_world import fresh


def test_an_application_comes_up_and_then_nothing_is_written() -> None:
    world = fresh()
    world.settle()
    assert world.serving() == 1
    assert {ref.kind.name for ref in world.children} == {
        "ServiceAccount",
        "ConfigMap",
        "ControllerRevision",
        "NetworkPolicy",
        "Service",
        "StatefulSet",
        "ReplicaSet",
        "Deployment",
        "PodDisruptionBudget",
    }
    assert plan(world.application, world.observed(), INSTALLATION, world.now).writes_nothing


def test_the_first_workers_are_made_with_the_head() -> None:
    world = fresh()
    world.reconcile()
    assert [ref.kind for ref in world.children].count(REPLICA_SET) == 1
    assert world.controllers == {}, "nobody has started yet"


def test_workers_beside_a_ray_cluster_that_serves_wait_for_their_head() -> None:
    world = fresh()
    world.settle()
    world.change(image="runtime:bad")
    for _ in range(5):
        world.reconcile()
        world.tick()
    assert {it.incarnation for it in world.pods.values() if it.component is Component.WORKER} == {1}
    assert {it.incarnation for it in world.pods.values() if it.component is Component.HEAD} == {1, 2}


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


def test_nothing_is_started_on_a_pod_that_is_being_deleted() -> None:
    world = fresh(replicas=4)
    world.settle()
    ending = next(it for it in world.pods.values() if it.component is Component.WORKER)
    world.pods[ending.name] = replace(ending, deleting_since=world.now)
    (link,) = plan(world.application, world.observed(), INSTALLATION, world.now).links
    assert link.target is not None
    assert ending.name in link.target.drain_nodes


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
            case _:
                assert what == "wait"
        for _ in range(number if what == "wait" else 1):
            world.reconcile()
            world.tick()
    world.reachable = True
    world.settle()
