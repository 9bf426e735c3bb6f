"""What the planner replaces when the target or the code is another, and how much of it at a time."""

from __future__ import annotations

from typing import Any

import pytest

from remora.controller import budget, events, versions
from remora.controller.actions import Drain, Reconfigure, Start
from remora.controller.lifecycle import Phase
from remora.controller.rollout import Budget
from remora.controller.routes import routes
from remora_api.wire import DeploymentOverride, GroupTarget
from tests.unit.worlds import actions, after, graph, kinds, node, target, with_replicas, world


def test_scaling_restarts_nothing() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING)
    more = after(before, events.TargetSet(target(ingress_replicas=3, generation=2)))
    assert kinds(more) == ["Start", "Start"]


def test_user_config_and_limits_reach_running_replicas_in_place() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING)
    override = DeploymentOverride(name="A", user_config={"a": 1}, has_user_config=True, max_ongoing_requests=9)
    changed = after(before, events.TargetSet(target(deployments=(override,))))
    (action,) = actions(changed)
    assert isinstance(action, Reconfigure)
    assert (action.in_place.user_config, action.in_place.max_ongoing_requests) == ({"a": 1}, 9)
    assert actions(events.enact(changed, action, 100)) == ()


def test_other_resources_replace_only_that_deployment() -> None:
    before = with_replicas(world(target(), graph("A", "B")), "A", Phase.RUNNING)
    before = with_replicas(before, "B", Phase.RUNNING)
    override = DeploymentOverride.from_plain({"name": "B", "resources": {"cpu_milli": 500}})
    (start,) = actions(after(before, events.TargetSet(target(deployments=(override,)))))
    assert isinstance(start, Start)
    assert start.deployment.name == "B"


def test_a_deployment_that_the_code_dropped_goes_last() -> None:
    before = with_replicas(world(target(), graph("A", "Old")), "A", Phase.RUNNING)
    before = with_replicas(before, "Old", Phase.RUNNING)
    new = target(args={"v": 2})
    changed = after(before, events.TargetSet(new), events.BuildDone(versions.build_key(new), graph("A")))
    (start,) = actions(changed)
    assert isinstance(start, Start)
    ready = after(events.enact(changed, start, 100), events.ReplicaReady(start.replica, "h", 1))
    assert [action.replica.split("#")[1] for action in actions(ready) if isinstance(action, Drain)] == ["A"]
    # The old replica of A may call it until it has answered what it was asked.
    (drain,) = actions(ready)
    assert isinstance(drain, Drain)
    draining = events.enact(ready, drain, 100)
    assert kinds(draining) == []
    alone = after(draining, events.ReplicaDied(drain.replica))
    assert [action.replica.split("#")[1] for action in actions(alone) if isinstance(action, Drain)] == ["Old"]


def test_the_old_ingress_answers_until_the_new_one_can() -> None:
    before = with_replicas(world(target(), graph("Old")), "Old", Phase.RUNNING)
    new = target(revision="r2")
    changed = after(before, events.TargetSet(new), events.BuildDone(versions.build_key(new), graph("New")))
    assert routes(changed)[0].ingress == "Old"
    (start,) = actions(changed)
    assert isinstance(start, Start)
    ready = after(events.enact(changed, start, 100), events.ReplicaReady(start.replica, "h", 1))
    assert routes(ready)[0].ingress == "New"


def test_without_surge_the_one_replica_goes_first() -> None:
    before = with_replicas(world(target(max_surge=0, max_unavailable=1), graph("A")), "A", Phase.RUNNING)
    new = target(args={"v": 2}, max_surge=0, max_unavailable=1)
    changed = after(before, events.TargetSet(new), events.BuildDone(versions.build_key(new), graph("A")))
    assert kinds(changed) == ["Drain"]


def test_what_belongs_to_one_deployment_alone_replaces_no_replica_of_another() -> None:
    before = with_replicas(world(target(), graph("A", "B")), "A", Phase.RUNNING)
    before = with_replicas(before, "B", Phase.RUNNING)
    small = {"name": "B", "resources": {"cpu_milli": 500}}
    new = target(revision="r2", generation=2, deployments=(small,))
    (start,) = actions(after(before, events.TargetSet(new)))
    assert isinstance(start, Start)
    assert start.deployment.name == "B"


def test_another_template_of_one_group_replaces_what_is_on_its_nodes_only() -> None:
    groups = (GroupTarget(name="cpu", template="t1"), GroupTarget(name="gpu", template="t1"))
    nodes = (node("c1"), node("g1", group="gpu"), node("g2", group="gpu", template="t2"))
    before = world(target(groups=groups), graph("A", replicas=2), *nodes)
    before = with_replicas(before, "A", Phase.RUNNING, on="c1")
    before = with_replicas(before, "A", Phase.RUNNING, on="g1")
    changed = (groups[0], GroupTarget(name="gpu", template="t2"))
    new = target(groups=changed, revision="r2")
    (start,) = actions(
        after(before, events.TargetSet(new), events.BuildDone(versions.build_key(new), graph("A", replicas=2)))
    )
    assert isinstance(start, Start)
    assert start.node == "g2"


def test_a_deployment_has_a_surge_of_its_own() -> None:
    one = {"name": "A", "max_surge": 0, "max_unavailable": 1}
    before = with_replicas(world(target(), graph("A", replicas=2)), "A", Phase.RUNNING, Phase.RUNNING)
    new = target(args={"v": 2}, deployments=(one,))
    changed = after(before, events.TargetSet(new), events.BuildDone(versions.build_key(new), graph("A", replicas=2)))
    assert kinds(changed) == ["Drain"]


@pytest.mark.parametrize("replicas", [1, 3])
def test_on_a_ray_that_does_not_grow_one_of_the_old_version_makes_way_on_a_full_node(replicas: int) -> None:
    built = graph("A", replicas=replicas, max_replicas_per_node=2)
    here = [Phase.RUNNING] * min(2, replicas)
    before = with_replicas(world(target(groups=()), built), "A", *here)
    new = target(groups=(), args={"v": 2})
    if replicas == 1:
        # There is room: the successor comes first.
        changed = after(before, events.TargetSet(new), events.BuildDone(versions.build_key(new), built))
        assert kinds(changed) == ["Start"]
        return
    changed = after(before, events.TargetSet(new), events.BuildDone(versions.build_key(new), built))
    (drain,) = actions(changed)
    assert isinstance(drain, Drain)
    changed = events.enact(changed, drain, 100)
    assert actions(changed) == ()
    changed = after(changed, events.ReplicaDied(drain.replica))
    (start,) = actions(changed)
    assert isinstance(start, Start)
    changed = events.enact(changed, start, 100)
    assert actions(changed) == (), "the next one goes when its successor serves"
    changed = after(changed, events.ReplicaReady(start.replica, "10.0.0.2", 11000))
    assert kinds(changed) == ["Drain"]


def test_in_a_cluster_another_node_comes_for_the_successor() -> None:
    built = graph("A", max_replicas_per_node=1)
    before = with_replicas(world(target(), built), "A", Phase.RUNNING)
    new = target(args={"v": 2})
    full = after(before, events.TargetSet(new), events.BuildDone(versions.build_key(new), built))
    assert actions(full) == ()
    assert kinds(after(full, events.NodesSeen({it.id: it for it in (node("n1"), node("n2"))}))) == ["Start"]


@pytest.mark.parametrize(
    ("code", "resource", "wanted"),
    [
        ({}, {}, (1, 0)),
        ({"max_surge_percent": 25}, {}, (3, 0)),
        ({"max_surge_percent": 25}, {"max_unavailable": 4}, (3, 4)),
        ({"max_surge_percent": 25}, {"deployments": ({"name": "A", "max_surge": 5},)}, (5, 0)),
        ({"max_surge_percent": 0}, {}, (0, 2)),
        ({"rolling_update_percentage": 0.31}, {}, (3, 0)),
        ({"max_surge_percent": 25}, {"deployments": ({"name": "A", "max_surge_percent": 40},)}, (4, 0)),
        ({"rolling_update_percentage": 0.01}, {"max_surge": 9}, (1, 0)),
        ({"rolling_update_percentage": 0.5, "max_surge_percent": 0}, {}, (0, 5)),
        ({"rolling_update_percentage": 0.5, "max_surge_percent": 0}, {"max_unavailable": 7}, (0, 7)),
    ],
)
def test_how_far_a_rollout_goes(code: dict[str, Any], resource: dict[str, Any], wanted: tuple[int, int]) -> None:
    before = world(target(**resource), graph("A", replicas=10, **code))
    (deployment,) = versions.resolve(before.serving["app"])
    assert budget.of(before.targets["app"], deployment) == Budget(*wanted)


def test_without_surge_in_the_code_replicas_go_before_their_successors() -> None:
    built = graph("A", replicas=2, max_surge_percent=0)
    before = with_replicas(world(target(), built), "A", Phase.RUNNING, Phase.RUNNING)
    new = target(args={"v": 2})
    assert kinds(after(before, events.TargetSet(new), events.BuildDone(versions.build_key(new), built))) == ["Drain"]
