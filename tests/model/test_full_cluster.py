"""The planner where no node is left for another pod: one of the old template goes before one of the new can come."""

from __future__ import annotations

from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from remora.controller import events
from remora.controller.lifecycle import Phase
from remora.controller.planner import plan
from remora.controller.state import BuiltDeployment, Graph, Node, NodeId, World
from remora.types import ReplicaId
from remora_api.wire import DeploymentOverride, GroupTarget, Resources, Target


def pod(name: str, template: str) -> Node:
    """Return a worker pod that has room for one replica."""
    return Node(id=NodeId(name), name=name, host=name, group="g", template=template, cpu_milli=1000)


@settings(deadline=None)
@given(replicas=st.integers(2, 4), said=st.sampled_from([None, 1, 2]))
def test_on_a_full_cluster_a_new_template_takes_the_places_one_after_the_other(replicas: int, said: int | None) -> None:
    """A pod of the new template finds a node only once one of the old has none of the replicas left, and is gone."""
    wanted = Target(
        application="app",
        generation=1,
        revision="r1",
        import_path="m:app",
        groups=(GroupTarget(name="g", template="old"),),
        deployments=(DeploymentOverride(name="A", replicas=replicas),),
        max_surge=1,
        max_unavailable=0,
    )
    graph = Graph("A", (BuiltDeployment(name="A", definition="A", resources=Resources(cpu_milli=1000)),))
    pods = {NodeId(f"old-{n}"): pod(f"old-{n}", "old") for n in range(replicas)}
    numbers, now, world = count(), 0.0, World()
    least = replicas

    def turn() -> None:
        nonlocal world, now
        world = events.learn(world, events.NodesSeen(dict(pods)), now)
        for action in plan(world, now, lambda _, name: ReplicaId(f"app#{name}#{next(numbers):08x}")).actions:
            world = events.enact(world, action, now)
        for key in [key for key, build in world.builds.items() if build.is_running]:
            world = events.learn(world, events.BuildDone(key, graph), now)
        for it in list(world.replicas.values()):
            if it.phase is Phase.STARTING:
                world = events.learn(world, events.ReplicaReady(it.id, "h", 1), now)
            elif it.is_leaving:
                world = events.learn(world, events.ReplicaDied(it.id), now)
        now += 5

    def ready() -> int:
        return sum(it.is_ready for it in world.replicas.values())

    world = events.learn(world, events.TargetSet(wanted), now)
    for _ in range(4):
        turn()
    assert ready() == replicas
    # The pods of the old template have to go, and as those of the new find no node a replica may go first.
    changed = wanted.but(
        revision="r2",
        groups=(GroupTarget(name="g", template="new"),),
        drain_nodes=tuple(sorted(pods)),
        deployments=(DeploymentOverride(name="A", replicas=replicas, max_unavailable=said),),
        max_unavailable=1,
    )
    world = events.learn(world, events.TargetSet(changed), now)
    for _ in range(12 * replicas):
        held = {it.node for it in world.replicas.values()}
        for name in [name for name, it in pods.items() if it.template == "old" and name not in held]:
            del pods[name]
            pods[NodeId(f"new-{name}")] = pod(f"new-{name}", "new")
        turn()
        least = min(least, ready())
    assert ready() == replicas
    assert {pods[it.node].template for it in world.replicas.values()} == {"new"}
    assert least >= replicas - (said or 1)
