"""What the planner does with replicas that have placement groups."""

from __future__ import annotations

from typing import Any

from remora.controller import events, versions
from remora.controller.actions import Start
from remora.controller.lifecycle import Phase
from remora.controller.state import Bundle, Graph, Serving
from remora.controller.status import applications, nodes
from remora_api.wire import DeploymentOverride, Resources
from remora_api.wire_group import PlacementGroup, Strategy
from tests.unit.worlds import actions, after, graph, kinds, node, target, with_replicas, world


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
    assert isinstance(start, Start)
    serving = events.learn(events.enact(before, start, 100), events.ReplicaReady(start.replica, "h", 1), 100)
    newer = fixed.but(args={"v": 2}, revision="r2")
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
