"""What the planner asks for, case by case; its promises in general are in tests/model."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from remora.controller import budget, events, versions
from remora.controller.actions import Action, BuildGraph, Drain, Kill, Reconfigure, Start
from remora.controller.lifecycle import Phase
from remora.controller.planner import FAILING_AFTER, plan, start_delay_s
from remora.controller.rollout import Budget
from remora.controller.routes import routes
from remora.controller.state import Bundle, Crashes, Graph, Seat, Serving, World
from remora.controller.status import applications, nodes
from remora.types import ReplicaId
from remora_api.autoscaling import Autoscaling, Policy
from remora_api.wire import BuildState, DeploymentOverride, GroupTarget, Resources
from remora_api.wire_group import Gang, PlacementGroup, Strategy
from tests.unit.worlds import graph, node, target, with_replicas, world


def actions(before: World, now: float = 100) -> tuple[Action, ...]:
    numbers = count(1000)
    return plan(before, now, lambda app, deployment: ReplicaId(f"{app}#{deployment}#{next(numbers)}")).actions


def kinds(before: World, now: float = 100) -> list[str]:
    return [type(action).__name__ for action in actions(before, now)]


def after(before: World, *news: events.Event, now: float = 100) -> World:
    for event in news:
        before = events.learn(before, event, now)
    return before


def test_builds_once_there_is_a_node_of_the_group() -> None:
    waiting = after(World(), events.TargetSet(target()))
    assert actions(waiting) == ()
    (status,) = applications(waiting)
    assert status.build.state is BuildState.WAITING
    assert status.build.message == "waiting for a worker of group 'cpu' to import the code"
    n = node("n1")
    (build,) = actions(after(waiting, events.NodesSeen({n.id: n})))
    assert isinstance(build, BuildGraph)


def test_a_failed_build_keeps_the_old_revision_serving_and_heals_it() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING)
    new = target(revision="r2", generation=2, import_path="wrong:app")
    failed = after(before, events.TargetSet(new), events.BuildFailed(versions.build_key(new), "no module 'wrong'"))
    assert kinds(failed) == []
    (status,) = applications(failed)
    assert (status.generation, status.build.state, status.build.message) == (2, BuildState.FAILED, "no module 'wrong'")
    assert [d.ready for d in status.deployments] == [1]
    (replica,) = failed.replicas
    assert kinds(after(failed, events.ReplicaDied(replica), now=5000), now=5000)[-1] == "Start"


def test_a_failed_build_is_tried_again_and_stays_failed_meanwhile() -> None:
    new = target()
    n = node("n1")
    failed = after(
        World(), events.TargetSet(new), events.NodesSeen({n.id: n}), events.BuildFailed(versions.build_key(new), "x")
    )
    assert kinds(failed, now=101) == []
    (again,) = actions(failed, now=1000)
    assert applications(events.enact(failed, again, 1000))[0].build.state is BuildState.FAILED


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
    override = DeploymentOverride.model_validate({"name": "B", "resources": {"cpu_milli": 500}})
    (start,) = actions(after(before, events.TargetSet(target(deployments=(override,)))))
    assert isinstance(start, Start)
    assert start.deployment.name == "B"


def test_a_replica_that_was_up_for_long_is_replaced_at_once() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING)
    (replica,) = before.replicas
    dead = after(before, events.ReplicaDied(replica, "killed"), now=1000)
    assert kinds(dead, now=1000) == ["Start"]
    assert dead.crashes == {}


def test_starts_that_fail_are_tried_ever_more_slowly_and_reported() -> None:
    now = 100.0
    current = world(target(), graph("A"))
    for attempt in range(1, FAILING_AFTER + 1):
        (start,) = actions(current, now)
        assert isinstance(start, Start)
        current = events.enact(current, start, now)
        current = after(current, events.ReplicaFailed(start.replica, "deployment 'A': boom"), now=now)
        assert kinds(current, now) == ["Kill"]
        current = after(current, events.ReplicaDied(start.replica), now=now)
        assert kinds(current, now) == []
        (crashes,) = current.crashes.values()
        assert crashes.count == attempt
        now += start_delay_s(crashes)
    (status,) = applications(current)
    assert (status.deployments[0].failing, status.deployments[0].message) == (True, "deployment 'A': boom")


def test_a_start_that_hangs_is_said_while_it_does_and_is_not_waited_for_again() -> None:
    current = with_replicas(world(target(), graph("A")), "A", Phase.STARTING)
    (replica,) = current.replicas
    slow = after(current, events.ReplicaSlow(replica, "whose constructor has not returned for 30 s"))
    (status,) = applications(slow)
    said = "deployment 'A': 1 starting, whose constructor has not returned for 30 s"
    assert (status.deployments[0].failing, status.deployments[0].message) == (False, said)

    hung = after(slow, events.ReplicaFailed(replica, "its constructor did not return within 600 s", hung=True))
    (status,) = applications(hung)
    said = "deployment 'A': its constructor did not return within 600 s"
    assert (status.deployments[0].failing, status.deployments[0].message) == (True, said)


def test_news_of_a_slow_start_that_is_over_changes_nothing() -> None:
    current = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING)
    (replica,) = current.replicas
    assert after(current, events.ReplicaSlow(replica, "late")) == current
    assert after(current, events.ReplicaSlow(ReplicaId("gone"), "late")) == current


def test_replicas_that_fail_together_count_once() -> None:
    current = with_replicas(world(target(ingress_replicas=3), graph("A")), "A", *[Phase.STARTING] * 3, started_at=1.0)
    for replica in list(current.replicas):
        current = after(current, events.ReplicaFailed(replica, "boom"))
    assert [crashes.count for crashes in current.crashes.values()] == [1]


def test_delays_double_up_to_a_limit() -> None:
    assert [start_delay_s(Crashes(n, 0, "")) for n in (1, 2, 3, 4, 20)] == [0.5, 1, 2, 4, 30]


def test_a_node_that_the_operator_takes_away_is_emptied_without_a_gap() -> None:
    before = with_replicas(world(target(), graph("A"), node("n1"), node("n2")), "A", Phase.RUNNING, on="n1")
    leaving = after(before, events.TargetSet(target(drain_nodes=("n1",))))
    (start,) = actions(leaving)
    assert isinstance(start, Start)
    assert start.node == "n2"
    ready = after(events.enact(leaving, start, 100), events.ReplicaReady(start.replica, "h", 1))
    (drain,) = actions(ready)
    assert isinstance(drain, Drain)
    assert ready.replicas[drain.replica].node == "n1"
    assert [(n.name, n.replicas, n.draining) for n in nodes(ready)] == [("n1", 1, True), ("n2", 1, False)]


def test_a_pod_that_ends_gets_no_new_replicas() -> None:
    before = with_replicas(world(target(), graph("A"), node("n1"), node("n2")), "A", Phase.RUNNING, on="n1")
    (replica,) = before.replicas
    (start,) = actions(after(before, events.ReplicaDraining(replica)))
    assert isinstance(start, Start)
    assert start.node == "n2"


def test_a_dead_node_is_nobodys_fault() -> None:
    before = with_replicas(world(target(), graph("A"), node("n1"), node("n2")), "A", Phase.STARTING, on="n1")
    (replica,) = before.replicas
    gone = after(before, events.ReplicaDied(replica, "its node went away", with_node=True))
    assert gone.crashes == {}
    (start,) = actions(gone)
    assert isinstance(start, Start)
    assert start.node == "n2"


def test_a_drain_that_does_not_end_is_cut_off() -> None:
    before = with_replicas(world(target(ingress_replicas=0), graph("A")), "A", Phase.DRAINING, grace_s=20)
    assert kinds(before, now=24) == []
    assert kinds(before, now=25) == ["Kill"]


def test_a_kill_that_ray_did_not_hear_is_repeated() -> None:
    before = with_replicas(world(target(ingress_replicas=0), graph("A")), "A", Phase.STOPPING)
    assert kinds(before, now=9) == []
    assert kinds(before, now=10) == ["Kill"]


def test_deleting_drains_all_and_then_forgets_the_application() -> None:
    before = with_replicas(world(target(), graph("A", "B")), "A", Phase.RUNNING)
    before = with_replicas(before, "B", Phase.STARTING)
    deleted = after(before, events.TargetDeleted("app"))
    (drain,) = actions(deleted)
    assert isinstance(drain, Drain)
    assert "#A#" in drain.replica, "what the ingress works on may call the others to the end"
    alone = after(events.enact(deleted, drain, 100), events.ReplicaDied(drain.replica))
    assert kinds(alone) == ["Kill"]
    gone = after(deleted, *(events.ReplicaDied(replica) for replica in deleted.replicas))
    assert (applications(gone), gone.serving, gone.builds) == ((), {}, {})


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


def test_routes_name_only_replicas_that_take_requests() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING, Phase.STARTING, Phase.DRAINING)
    (application,) = routes(before)
    assert [address.port for address in application.deployments[0].replicas] == [11000]


def test_a_replica_that_fits_nowhere_says_what_it_needs() -> None:
    override = DeploymentOverride.model_validate({"name": "A", "resources": {"cpu_milli": 8000, "custom": {"GPU": 1}}})
    big = world(target(deployments=(override,)), graph("A"))
    assert actions(big) == ()
    assert applications(big)[0].deployments[0].message == "deployment 'A': no worker has room for 8 CPU, 1 GPU"


def test_overrides_of_unknown_deployments_are_named() -> None:
    wrong = world(target(deployments=(DeploymentOverride(name="Modle"),)), graph("Model"))
    assert applications(wrong)[0].build.message == "no deployment is called 'Modle'; the code has 'Model'"


def test_a_policy_for_nobody_is_named() -> None:
    policy = Policy(import_path="m:together")
    idle = world(target(autoscaling_policy=policy), graph("A"))
    said = "autoscalingPolicy m:together is not asked: no deployment has autoscaling"
    assert applications(idle)[0].build.message == said
    used = world(target(autoscaling_policy=policy), graph("A", autoscaling=Autoscaling()))
    assert applications(used)[0].build.message == ""


def test_several_applications_do_not_mix() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING)
    other = target(application="other")
    both = after(before, events.TargetSet(other), events.BuildDone(versions.build_key(other), graph("A")))
    (start,) = actions(both)
    assert isinstance(start, Start)
    assert start.replica.startswith("other#A#")


def test_without_surge_the_one_replica_goes_first() -> None:
    before = with_replicas(world(target(max_surge=0, max_unavailable=1), graph("A")), "A", Phase.RUNNING)
    new = target(args={"v": 2}, max_surge=0, max_unavailable=1)
    changed = after(before, events.TargetSet(new), events.BuildDone(versions.build_key(new), graph("A")))
    assert kinds(changed) == ["Drain"]


def test_a_failed_replica_is_killed_and_not_replaced_before_it_is_gone_beyond_the_surge() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.FAILED, Phase.STOPPING)
    found = actions(before, now=5)
    assert [type(action) for action in found] == [Kill]


@pytest.mark.parametrize("host", [pytest.param("n2", id="another machine"), pytest.param("n1", id="another pod")])
def test_replicas_that_began_on_one_node_are_spread_without_a_gap(host: str) -> None:
    wanted = target(deployments=(DeploymentOverride(name="A", replicas=2),))
    before = world(wanted, graph("A"), node("n1"), node("n2", host=host))
    before = with_replicas(before, "A", Phase.RUNNING, Phase.RUNNING)
    (start,) = actions(before)
    assert isinstance(start, Start)
    assert start.node == "n2"
    starting = events.enact(before, start, 100)
    assert actions(starting) == ()
    ready = after(starting, events.ReplicaReady(start.replica, "10.0.0.2", 11000))
    (drain,) = actions(ready)
    assert isinstance(drain, Drain)
    assert ready.replicas[drain.replica].node == "n1"
    gone = after(events.enact(ready, drain, 100), events.ReplicaDied(drain.replica))
    assert actions(gone) == ()
    assert {it.node for it in gone.replicas.values()} == {"n1", "n2"}


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


def test_no_node_gets_more_of_a_deployment_than_it_may_hold() -> None:
    wanted = target(deployments=(DeploymentOverride(name="A", replicas=5, max_replicas_per_node=2),))
    before = world(wanted, graph("A"), node("n1"), node("n2"))
    starts = [it for it in actions(before) if isinstance(it, Start)]
    assert Counter(it.node for it in starts) == {"n1": 2, "n2": 2}


def test_the_code_says_how_many_a_node_may_hold_unless_the_resource_does() -> None:
    built = graph("A", replicas=3, max_replicas_per_node=1)
    assert kinds(world(target(), built)) == ["Start"]
    loose = {"name": "A", "max_replicas_per_node": 3}
    assert kinds(world(target(deployments=(loose,)), built)) == ["Start"] * 3


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


@pytest.mark.parametrize(("given", "replicas", "tries"), [(None, 1, 3), (1, 1, 1), (5, 1, 3), (5, 2, 5), (20, 2, 6)])
def test_the_code_says_how_many_starts_may_fail(given: int | None, replicas: int, tries: int) -> None:
    before = world(target(), graph("A", replicas=replicas, max_constructor_retry_count=given))
    (deployment,) = versions.resolve(before.serving["app"])
    key = ("app", "A", deployment.version)
    failing = [
        applications(replace(before, crashes={key: Crashes(count, 0, "it failed")}))[0].deployments[0].failing
        for count in (tries - 1, tries)
    ]
    assert failing == [False, True]


def grouped(strategy: str, *cpus: float, **options: Any) -> Graph:
    group = PlacementGroup(bundles=tuple({"CPU": cpu} for cpu in cpus), strategy=Strategy(strategy))
    return graph("A", group=group, **options)


def test_a_replica_with_a_group_is_placed_with_all_of_its_bundles_or_not_at_all() -> None:
    small, large = node("n1", cpu_milli=2000), node("n2", cpu_milli=3000)
    (start,) = actions(world(target(), grouped("STRICT_PACK", 1, 2, replicas=2), small, large))
    assert isinstance(start, Start)
    assert (start.node, start.bundles) == ("n2", ("n2", "n2"))
    (start,) = actions(world(target(), grouped("STRICT_SPREAD", 1, 2, replicas=2), small, large))
    assert isinstance(start, Start)
    assert sorted(start.bundles) == ["n1", "n2"]
    assert actions(world(target(), grouped("STRICT_SPREAD", 1, 1), large)) == ()


def test_bundles_hold_their_room_and_the_replicas_own_resources_are_part_of_the_first() -> None:
    before = world(target(), grouped("PACK", 1, 1, replicas=3), node("n1", cpu_milli=5000))
    first, second = actions(before)
    for start in (first, second):
        before = events.enact(before, start, 100)
    assert [sum(b.resources.cpu_milli for b in r.bundles) for r in before.replicas.values()] == [2000, 2000]
    assert actions(before) == ()
    (status,) = applications(before)
    (deployment,) = status.deployments
    assert deployment.resources.cpu_milli == 2000
    assert deployment.group is not None
    assert nodes(before)[0].replicas == 2


def test_what_waits_for_room_says_how_its_bundles_have_to_lie() -> None:
    (status,) = applications(world(target(), grouped("STRICT_SPREAD", 1, 2), node("n1")))
    assert status.deployments[0].message == (
        "deployment 'A': no workers have room for (1 CPU), (2 CPU) by STRICT_SPREAD"
    )
    (status,) = applications(world(target(), grouped("STRICT_PACK", 3, 2), node("n1")))
    assert status.deployments[0].message == "deployment 'A': no worker has room for 5 CPU"


def test_a_replica_is_replaced_when_the_node_of_one_of_its_bundles_is_gone_or_leaves() -> None:
    there = [node(name, cpu_milli=1000) for name in ("n1", "n2", "n3")]
    before = world(target(), grouped("STRICT_SPREAD", 1, 1), *there)
    held = tuple(Bundle(it.id, Resources()) for it in there[:2])
    before = with_replicas(before, "A", Phase.RUNNING, bundles=held)
    assert actions(before) == ()
    leaving = after(before, events.TargetSet(target(drain_nodes=("n2",))), events.NodesSeen({n.id: n for n in there}))
    assert [it.draining for it in nodes(leaving)] == [False, True, False]
    gone = after(before, events.NodesSeen({it.id: it for it in (*there[:1], *there[2:], node("n4"), node("n5"))}))
    (start,) = actions(gone)
    assert isinstance(start, Start)
    assert set(start.bundles) <= {"n3", "n4", "n5"}, "beside the old one, which still serves"


def test_a_change_of_the_group_is_a_new_version_and_none_leaves_versions_as_they_were() -> None:
    plain, wide, wider = (
        versions.resolve(Serving(target(), built))[0].version
        for built in (graph("A"), grouped("PACK", 1), grouped("PACK", 1, 1))
    )
    assert len({plain, wide, wider}) == 3


def test_a_first_bundle_grows_to_what_the_resource_says_of_a_replica() -> None:
    override = DeploymentOverride(name="A", resources=Resources(cpu_milli=3000, custom={"GPU": 1}))
    (found,) = versions.resolve(Serving(target(deployments=(override,)), grouped("PACK", 1, 1)))
    assert [it.cpu_milli for it in found.parts] == [3000, 1000]
    assert found.needs == Resources(cpu_milli=4000, custom={"GPU": 1})


def test_where_no_node_comes_one_of_the_old_version_makes_way_for_a_group_that_fills_the_node() -> None:
    fixed = target(groups=())
    before = world(fixed, grouped("STRICT_PACK", 2, 2), node("n1"))
    (start,) = actions(before)
    serving = events.learn(events.enact(before, start, 100), events.ReplicaReady(start.replica, "h", 1), 100)
    newer = fixed.model_copy(update={"args": {"v": 2}, "revision": "r2"})
    changed = after(
        serving, events.TargetSet(newer), events.BuildDone(versions.build_key(newer), grouped("STRICT_PACK", 2, 2))
    )
    assert kinds(changed) == ["Drain"]
    larger = after(
        serving, events.TargetSet(newer), events.BuildDone(versions.build_key(newer), grouped("STRICT_PACK", 2, 3))
    )
    assert kinds(larger) == [], "it would not fit then either"


def test_the_status_says_what_replicas_of_other_versions_hold_where_it_is_not_alike() -> None:
    before = world(target(), graph("A", resources=Resources(cpu_milli=500)))
    alike = with_replicas(before, "A", Phase.RUNNING, version="old", resources=Resources(cpu_milli=500))
    assert applications(alike)[0].deployments[0].former == ()
    larger = with_replicas(before, "A", Phase.RUNNING, version="old", resources=Resources(cpu_milli=900))
    (former,) = applications(larger)[0].deployments[0].former
    assert (former.replicas, former.resources.cpu_milli, former.group) == (1, 900, None)
    parts = tuple(Bundle(node(name).id, Resources(cpu_milli=250)) for name in ("n1", "n2", "n2"))
    (former,) = (
        applications(with_replicas(before, "A", Phase.RUNNING, version="old", bundles=parts))[0].deployments[0].former
    )
    assert former.group is not None
    assert former.group.strategy is Strategy.STRICT_SPREAD
    assert [it["CPU"] for it in former.group.bundles] == [0.25, 0.5]


def ganged(before: World, *phases: Phase, gang: str = "g1") -> World:
    """Return the world with one gang of A, its members in these phases."""
    ids = tuple(ReplicaId(f"app#A#{len(before.replicas) + rank:08x}") for rank in range(len(phases)))
    for rank, phase in enumerate(phases):
        before = with_replicas(before, "A", phase, seat=Seat(gang, rank, ids))
    return before


PAIRS = Gang(size=2)


def test_a_gang_is_started_as_a_whole_or_not_at_all() -> None:
    four = graph("A", replicas=4, gang=PAIRS)
    starts = actions(world(target(), four, node("n1", cpu_milli=3000)))
    assert [type(it) for it in starts] == [Start, Start]
    first, second = starts
    assert isinstance(first, Start)
    assert isinstance(second, Start)
    assert first.seat is not None
    assert second.seat is not None
    assert first.seat.gang == second.seat.gang
    assert (first.seat.rank, second.seat.rank) == (0, 1)
    assert first.seat.members == second.seat.members == (first.replica, second.replica)
    assert actions(world(target(), four, node("n1", cpu_milli=1000))) == ()
    (status,) = applications(world(target(), four, node("n1", cpu_milli=1000)))
    assert status.deployments[0].message == ("deployment 'A': no workers have room for 2 times 1 CPU at once")


def test_a_packed_gang_is_on_one_node_if_it_can_and_a_spread_one_on_several() -> None:
    there = [node("n1", cpu_milli=1000), node("n2", cpu_milli=2000), node("n3", cpu_milli=1000)]
    starts = actions(world(target(), graph("A", replicas=2, gang=PAIRS), *there))
    assert [it.node for it in starts if isinstance(it, Start)] == ["n2", "n2"]
    spread = Gang(size=2, strategy=Strategy.SPREAD)
    starts = actions(world(target(), graph("A", replicas=2, gang=spread), *there))
    assert len({it.node for it in starts if isinstance(it, Start)}) == 2
    starts = actions(world(target(), graph("A", replicas=2, gang=PAIRS), there[0], there[2]))
    assert [it.node for it in starts if isinstance(it, Start)] == ["n1", "n3"]


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.STOPPING])
def test_what_is_left_of_a_gang_goes_when_a_member_fails_and_another_gang_stays(phase: Phase) -> None:
    before = world(target(), graph("A", replicas=4, gang=PAIRS), node("n1", cpu_milli=9000))
    before = ganged(ganged(before, Phase.RUNNING, Phase.RUNNING), Phase.RUNNING, phase, gang="g2")
    found = [it.replica for it in actions(before) if isinstance(it, Kill)]
    assert found[-1] == "app#A#00000002"
    assert set(found) <= {"app#A#00000002", "app#A#00000003"}
    gone = replace(before, replicas={id_: it for id_, it in before.replicas.items() if id_ != "app#A#00000003"})
    assert [it.replica for it in actions(gone) if isinstance(it, Kill)] == ["app#A#00000002"]


def test_a_gang_one_of_whose_pods_ends_drains_as_a_whole() -> None:
    before = world(target(), graph("A", replicas=2, gang=PAIRS))
    found = actions(ganged(before, Phase.RUNNING, Phase.DRAINING))
    assert [it.replica for it in found if isinstance(it, Drain)] == ["app#A#00000000"]


def test_gangs_are_replaced_one_after_the_other() -> None:
    before = world(target(), graph("A", replicas=4, gang=PAIRS), node("n1", cpu_milli=9000))
    before = ganged(ganged(before, Phase.RUNNING, Phase.RUNNING), Phase.RUNNING, Phase.RUNNING, gang="g2")
    stale = replace(before, replicas={id_: replace(it, version="old") for id_, it in before.replicas.items()})
    assert kinds(stale) == ["Start", "Start"], "a surge of one replica is one of a gang"
    ready = ganged(stale, Phase.RUNNING, Phase.RUNNING, gang="g3")
    assert [it.replica for it in actions(ready) if isinstance(it, Drain)] == ["app#A#00000000", "app#A#00000001"]


def test_replicas_that_come_in_gangs_are_counted_in_whole_ones() -> None:
    built = graph("A", replicas=4, gang=PAIRS)
    (odd,) = versions.resolve(Serving(target(ingress_replicas=3), built))
    assert (odd.count, odd.reason) == (4, "spec.replicas: 3, in gangs of 2")
    assert versions.resolve(Serving(target(), built))[0].reason == "num_replicas in the code"
    limited = DeploymentOverride(name="A", autoscaling=Autoscaling(min_replicas=5, max_replicas=5))
    assert versions.resolve(Serving(target(deployments=(limited,)), built))[0].count == 4


def test_gangs_make_way_for_replicas_on_their_own() -> None:
    before = world(target(), graph("A", replicas=2), node("n1", cpu_milli=9000))
    stale = ganged(before, Phase.RUNNING, Phase.RUNNING)
    stale = replace(stale, replicas={id_: replace(it, version="old") for id_, it in stale.replicas.items()})
    assert kinds(stale) == ["Start", "Start"]
    ready = with_replicas(stale, "A", Phase.RUNNING, Phase.RUNNING)
    assert kinds(ready) == ["Drain", "Drain"]
