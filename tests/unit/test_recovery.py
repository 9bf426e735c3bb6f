"""What a controller that starts anew makes of replicas whose node ended together with the head."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from remora.controller.checkpoint import Saved
from remora.controller.cluster import ActorFailed
from remora.controller.lifecycle import Phase
from remora.controller.recovery import recover
from remora.controller.state import Node, NodeId, Replica, World
from remora.types import ReplicaId
from remora_api.wire import Resources

HERE, GONE = NodeId("here"), NodeId("gone")


class Actor:
    """An actor that Ray says is alive and that never answers."""

    def __init__(self) -> None:
        self.killed = False

    async def recall(self) -> tuple[bytes, bool, str]:
        raise ActorFailed("Ray cannot reach it for the moment")

    async def kill(self) -> None:
        self.killed = True


class Cluster:
    """Ray's tables with one living node and an actor for each replica."""

    def __init__(self, *names: ReplicaId) -> None:
        self.actors = {name: Actor() for name in names}
        self.kept: set[ReplicaId] = set()

    async def nodes(self) -> Mapping[NodeId, Node]:
        node = Node(id=HERE, name="w", host="h", group="", template="", cpu_milli=1000, memory_bytes=None, custom={})
        return {HERE: node}

    async def replicas(self) -> list[ReplicaId]:
        return list(self.actors)

    async def find(self, name: ReplicaId) -> Actor:
        return self.actors[name]

    async def release_all_but(self, replicas: Collection[ReplicaId]) -> None:
        self.kept = set(replicas)


async def recovered(cluster: Cluster, saved: Saved) -> tuple[World, list[Any]]:
    ray: Any = cluster
    world, actors = await recover(ray, saved, timeout_s=1, now=0)
    return world, list(actors)


def running(name: str, node: NodeId) -> Replica:
    return Replica(
        id=ReplicaId(name),
        application="shop",
        deployment="A",
        revision="",
        version="1",
        settings="",
        resources=Resources(),
        node=node,
        phase=Phase.RUNNING,
        started_at=0,
        since=0,
    )


async def test_a_replica_whose_node_is_dead_is_forgotten_and_its_name_freed() -> None:
    here, gone = running("shop#A#1", HERE), running("shop#A#2", GONE)
    cluster = Cluster(here.id, gone.id)
    saved = Saved(replicas={each.id: each for each in (here, gone)})
    world, actors = await recovered(cluster, saved)
    assert world.replicas == {here.id: here}, "one that does not answer but has its node is believed"
    assert actors == [cluster.actors[here.id]]
    assert {name: actor.killed for name, actor in cluster.actors.items()} == {here.id: False, gone.id: True}


async def test_a_replica_that_was_starting_on_a_dead_node_is_forgotten_too() -> None:
    gone = replace(running("shop#A#2", GONE), phase=Phase.STARTING)
    cluster = Cluster(gone.id)
    world, _ = await recovered(cluster, Saved(replicas={gone.id: gone}))
    assert world.replicas == {}
    assert cluster.actors[gone.id].killed
