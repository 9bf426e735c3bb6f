"""Which node a replica gets."""

from __future__ import annotations

from dataclasses import replace

from remora.controller.lifecycle import Phase
from remora.controller.placement import by_worth, choose, eligible, holdings, misplaced, own, takes
from remora.controller.state import Bundle, NodeId
from remora_api.wire import GroupTarget, Resources
from tests.unit.worlds import GROUP, graph, node, target, with_replicas, world


def test_only_nodes_of_the_group_and_template_are_eligible() -> None:
    nodes = {n.id: n for n in (node("a"), node("b", template="t2"), node("c", group="gpu"), node("d"))}
    assert [n.name for n in eligible(nodes, [GROUP], frozenset({NodeId("d")}))] == ["a"]
    assert [n.name for n in eligible(nodes, [GROUP, GroupTarget(name="gpu", template="t1")], frozenset())] == [
        "a",
        "c",
        "d",
    ]


def test_without_groups_any_node_is_eligible() -> None:
    assert len(eligible({n.id: n for n in (node("a"), node("b", group=""))}, [], frozenset())) == 2


def test_spreads_over_machines_before_pods() -> None:
    before = world(target(), graph("A"), node("p1", host="h1"), node("p2", host="h1"), node("p3", host="h2"))
    before = with_replicas(before, "A", Phase.RUNNING, on="p1")
    found = choose(list(before.nodes.values()), before.replicas.values(), "app", "A", Resources(), spread=True)
    assert found is not None
    assert found.name == "p3"


def test_fills_up_when_spread_does_not_matter() -> None:
    before = world(target(), graph("A", "B"), node("p1"), node("p2"))
    before = with_replicas(before, "A", Phase.RUNNING, on="p2")
    for deployment, spread in (("B", True), ("A", False)):
        found = choose(list(before.nodes.values()), before.replicas.values(), "app", deployment, Resources(), spread)
        assert found is not None
        assert found.name == "p2"


def test_two_on_one_node_when_there_is_no_other() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING)
    assert choose(list(before.nodes.values()), before.replicas.values(), "app", "A", Resources(), spread=True)


def test_a_leaving_replica_holds_its_room_but_does_not_count_as_spread() -> None:
    before = world(target(), graph("A"), node("p1"), node("p2", cpu_milli=2000))
    before = with_replicas(before, "A", Phase.DRAINING, on="p1")
    before = with_replicas(before, "A", Phase.RUNNING, on="p2")
    found = choose(list(before.nodes.values()), before.replicas.values(), "app", "A", Resources(), spread=True)
    assert found is not None
    assert found.name == "p1"
    tight = node("p1", cpu_milli=1000)
    assert not takes(Resources(), tight, holdings([tight], before.replicas.values())[tight.id])


def test_one_moves_when_all_are_on_one_pod_of_a_machine_and_another_pod_has_room() -> None:
    before = world(target(), graph("A"), node("p1", host="h1"), node("p2", host="h1"))
    before = with_replicas(before, "A", Phase.RUNNING, Phase.RUNNING, on="p1")
    replicas, nodes = list(before.replicas.values()), list(before.nodes.values())
    assert misplaced(replicas, nodes, replicas, Resources(cpu_milli=1000)) is not None
    apart = with_replicas(before, "A", Phase.RUNNING, on="p2")
    assert misplaced(list(apart.replicas.values()), nodes, replicas, Resources(cpu_milli=1000)) is None


def test_counts_memory_and_devices() -> None:
    big = node("a", memory_bytes=2**30, custom={"GPU": 1.0})
    assert takes(Resources(memory_bytes=2**30, custom={"GPU": 1}), big, [])
    assert not takes(Resources(memory_bytes=2**30 + 1), big, [])
    assert not takes(Resources(custom={"GPU": 2}), big, [])
    assert not takes(Resources(custom={"TPU": 1}), big, [])


def test_a_node_without_capacity_takes_anything() -> None:
    assert takes(Resources(cpu_milli=10**6, memory_bytes=2**50), node("a", cpu_milli=None), [])


def test_those_kept_when_scaled_down_are_spread() -> None:
    before = world(target(), graph("A"), node("p1", host="h1"), node("p2", host="h1"), node("p3", host="h2"))
    before = with_replicas(before, "A", Phase.RUNNING, Phase.RUNNING, on="p1", started_at=1)
    before = with_replicas(before, "A", Phase.RUNNING, on="p2", started_at=2)
    before = with_replicas(before, "A", Phase.RUNNING, on="p3", started_at=3)
    kept = [it.node for it in by_worth(before.replicas.values(), before.nodes, spread=True)]
    assert kept == ["p1", "p3", "p2", "p1"]
    assert [it.node for it in by_worth(before.replicas.values(), before.nodes, spread=False)][-1] == "p3"


def test_one_moves_when_all_are_on_one_machine_and_another_has_room() -> None:
    before = world(target(), graph("A"), node("p1", host="h1"), node("p2", host="h2", cpu_milli=1000))
    before = with_replicas(before, "A", Phase.RUNNING, on="p1", started_at=1)
    before = with_replicas(before, "A", Phase.RUNNING, on="p1", started_at=2)
    replicas, nodes = list(before.replicas.values()), list(before.nodes.values())
    moving = misplaced(replicas, nodes, replicas, Resources(cpu_milli=1000))
    assert moving is not None
    assert moving.started_at == 2
    assert misplaced(replicas, nodes, replicas, Resources(cpu_milli=2000)) is None
    assert misplaced(replicas[:1], nodes, replicas, Resources(cpu_milli=1000)) is None
    starting = with_replicas(before, "A", Phase.STARTING, on="p1")
    assert misplaced(list(starting.replicas.values()), nodes, replicas, Resources(cpu_milli=1000)) is None


def test_a_node_holds_no_more_of_a_deployment_than_it_may_with_those_that_end() -> None:
    before = world(target(), graph("A", "B"), node("p1"), node("p2"))
    before = with_replicas(before, "A", Phase.RUNNING, Phase.DRAINING, on="p1")
    before = with_replicas(before, "B", Phase.RUNNING, on="p1")
    nodes, replicas = list(before.nodes.values()), list(before.replicas.values())
    found = choose(nodes, replicas, "app", "A", Resources(), spread=False, per_node=2)
    assert found is not None
    assert found.name == "p2"
    assert choose(nodes[:1], replicas, "app", "A", Resources(), spread=False, per_node=2) is None
    assert choose(nodes[:1], replicas, "app", "A", Resources(), spread=False, per_node=3)
    assert choose(nodes[:1], replicas, "app", "B", Resources(), spread=False, per_node=2)
    assert choose(nodes[:1], replicas, "other", "A", Resources(), spread=False, per_node=1)


def test_bundles_are_held_where_they_lie_and_a_grouped_replica_holds_nothing_beside_them() -> None:
    nodes = [node("p1"), node("p2")]
    (replica,) = with_replicas(world(target(), graph("A"), *nodes), "A", Phase.RUNNING, on="p1").replicas.values()
    parts = Resources(cpu_milli=3000), Resources(cpu_milli=0, custom={"GPU": 1})
    grouped = replace(replica, bundles=tuple(map(Bundle, (nodes[0].id, nodes[1].id), parts)))
    assert holdings(nodes, [grouped]) == {nodes[0].id: [parts[0]], nodes[1].id: [parts[1]]}
    assert grouped.nodes == {nodes[0].id, nodes[1].id}
    assert grouped.needs == Resources(cpu_milli=3000, custom={"GPU": 1})


def test_where_replicas_take_no_cpu_of_rays_bundles_do() -> None:
    local = replace(node("p1", cpu_milli=2000), bundles_only=True)
    plain = with_replicas(world(target(), graph("A"), local), "A", Phase.RUNNING, Phase.RUNNING, on="p1")
    held = holdings([local], plain.replicas.values())[local.id]
    assert takes(own(Resources(cpu_milli=1000), local), local, [*held, Resources(cpu_milli=2000)])
    assert takes(Resources(cpu_milli=2000), local, held)
    assert not takes(Resources(cpu_milli=2001), local, held)
