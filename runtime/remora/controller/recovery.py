"""Recovery: what a controller that starts anew finds, made into a World.

Ray knows which replicas live, the replicas know who they are, and the checkpoint knows the rest. Replicas are not
touched: they served all the time. One that does not answer in time (its user's code holds the loop) is believed to be
what the checkpoint says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from remora.controller.checkpoint import DamagedCheckpoint, Saved, replica_from_bytes
from remora.controller.cluster import ActorFailed, ActorGone, RayCluster, RayReplica
from remora.controller.lifecycle import Phase
from remora.controller.state import Node, NodeId, Replica, World
from remora.replica.config import NotStarted
from remora.types import ReplicaId

log = logging.getLogger("remora.controller")

Found = tuple[Replica, RayReplica]


async def recover(cluster: RayCluster, saved: Saved, timeout_s: float, now: float) -> tuple[World, list[RayReplica]]:
    """Return the world as it is, with the actors of its replicas in the same order.

    Replicas of nobody are killed, and what is reserved for replicas that there are not is given back.
    """
    nodes = await cluster.nodes()
    names = await cluster.replicas()
    lost = [name for name in names if _went_with_its_node(saved.replicas.get(name), nodes)]
    await asyncio.gather(*(_bury(cluster, name) for name in lost))
    left = [name for name in names if name not in lost]
    found = await asyncio.gather(*(_find(cluster, name, saved, timeout_s, now) for name in left))
    known = [pair for pair in found if pair is not None]
    await cluster.release_all_but({replica.id for replica, _ in known})
    world = World(
        targets=saved.targets,
        serving=saved.serving,
        builds=saved.builds,
        replicas={replica.id: replica for replica, _ in known},
        nodes=nodes,
    )
    if names or saved.replicas:
        log.info("found %d of %d replicas again", len(known), len(saved.replicas))
    return world, [actor for _, actor in known]


def _went_with_its_node(replica: Replica | None, nodes: Mapping[NodeId, Node]) -> bool:
    """Whether its node is gone for good, as nodes that Ray has called dead are.

    When head and node die in one moment, as in a power cut, Ray's tables may have the node's end and not that of its
    actors. Ray never looks at those again, and a call to one waits for ever.
    """
    return replica is not None and replica.node not in nodes


async def _bury(cluster: RayCluster, name: ReplicaId) -> None:
    log.warning("replica %s went with its node; forgotten", name)
    actor = await cluster.find(name)
    if actor is not None:
        await actor.kill()


async def _find(cluster: RayCluster, name: ReplicaId, saved: Saved, timeout_s: float, now: float) -> Found | None:
    actor = await cluster.find(name)
    if actor is None:
        return None
    remembered = saved.replicas.get(name)
    try:
        async with asyncio.timeout(timeout_s):
            record, drains, settings = await actor.recall()
            started = await actor.start() if remembered is None or remembered.phase is not Phase.RUNNING else None
    except ActorGone:
        return None
    except (TimeoutError, ActorFailed):
        if remembered is not None:
            return remembered, actor
        log.warning("replica %s is unknown and does not answer: killed", name)
        await actor.kill()
        return None
    try:
        recorded = replica_from_bytes(record)
    except DamagedCheckpoint as error:
        log.warning("replica %s: %s; killed", name, error)
        await actor.kill()
        return None
    # The replica knows which settings it has: the controller before may have died between writing down and telling.
    replica = replace(remembered or recorded, settings=settings or recorded.settings)
    if drains:
        return replace(replica, phase=Phase.DRAINING, since=now), actor
    if isinstance(started, NotStarted):
        return replace(replica, phase=Phase.FAILED, since=now), actor
    if started is not None and replica.phase is Phase.STARTING:
        return replace(replica, phase=Phase.RUNNING, host=started.host, port=started.port, since=now), actor
    return replica, actor
