"""What is in the way of a replica that has its only place where others stand."""

from __future__ import annotations

from dataclasses import replace

from remora.controller import crowding, versions
from remora.controller.lifecycle import Phase
from remora.controller.state import BuiltDeployment, Graph, NodeId, Serving, World
from remora.types import ReplicaId
from remora_api.wire import DeploymentOverride, Resources
from tests.unit.worlds import node, target, with_replicas, world

ONE, BIG = Resources(cpu_milli=1000), Resources(cpu_milli=2000, custom={"GPU": 1})
GRAPH = Graph(
    "A",
    (
        BuiltDeployment(name="A", definition="a", resources=ONE, replicas=2),
        BuiltDeployment(name="G", definition="g", resources=BIG),
    ),
)
CPU = node("c1", cpu_milli=2000)
GPU = node("g1", cpu_milli=2000, custom={"GPU": 1.0})


def crowd(before: World) -> crowding.Crowd:
    """Return what has to move."""
    deployments = versions.resolve(before.serving["app"])
    return crowding.crowd(deployments, "app", tuple(before.nodes.values()), before.replicas.values())


def on(*nodes: str, phase: Phase = Phase.RUNNING) -> World:
    """Return a world with a replica of A on each of the nodes."""
    before = world(target(), GRAPH, CPU, GPU)
    for name in nodes:
        before = with_replicas(before, "A", phase, on=name, resources=ONE)
    return before


def test_what_holds_the_cpu_beside_the_only_gpu_is_in_the_way() -> None:
    found = crowd(on("c1", "g1"))
    assert found.places == {"A": {"c1"}, "G": {"g1"}}
    assert found.in_the_way == {"app#A#00000001"}


def test_nothing_is_in_the_way_where_it_has_no_other_place() -> None:
    full = with_replicas(on("c1", "g1"), "A", Phase.RUNNING, on="c1", resources=ONE)
    wanted = target(deployments=(DeploymentOverride(name="A", replicas=3),))
    assert crowd(replace(full, serving={"app": Serving(wanted, GRAPH)})) == crowding.Crowd()


def test_what_leaves_by_itself_is_waited_for() -> None:
    found = crowd(on("c1", "c1", "g1", phase=Phase.DRAINING))
    assert found.places == {"A": {"c1"}, "G": {"g1"}}
    assert found.in_the_way == frozenset()


def test_one_whose_successor_is_there_needs_no_other_place() -> None:
    followed = with_replicas(on("c1", "g1"), "A", Phase.STARTING, on="c1", resources=ONE)
    assert crowd(followed) == crowding.Crowd({"G": frozenset({NodeId("g1")})}, frozenset({ReplicaId("app#A#00000001")}))


def test_no_more_moves_than_has_to() -> None:
    roomy = node("g1", cpu_milli=3000, custom={"GPU": 1.0})
    before = world(target(), GRAPH, node("c1", cpu_milli=9000), roomy)
    before = with_replicas(before, "A", Phase.RUNNING, Phase.RUNNING, on="g1", resources=ONE)
    found = crowd(before)
    assert found.places == {"A": {"c1"}, "G": {"g1"}}
    assert len(found.in_the_way) == 1


def test_what_another_application_has_there_stays() -> None:
    before = on("c1", "g1")
    theirs = {id_: replace(it, application="other") for id_, it in before.replicas.items()}
    assert crowd(replace(before, replicas=theirs)) == crowding.Crowd()


def test_other_deployments_are_kept_off() -> None:
    found = crowd(on("c1", "g1"))
    assert [it.name for it in found.free_for("A", (CPU, GPU))] == ["c1"]
    assert [it.name for it in found.free_for("G", (CPU, GPU))] == ["g1"]
