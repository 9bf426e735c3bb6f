"""News, and what it makes of the World.

Pure. `learn` takes in what happened outside; `enact` writes down what was decided, before it is done, so that a
controller that dies in between finds it in its checkpoint. News that comes too late to matter changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar, assert_never

from remora.controller import actions, counts, ranks, versions
from remora.controller.lifecycle import Phase, Step, after, allows
from remora.controller.state import (
    Build,
    BuildKey,
    Bundle,
    Crashes,
    Graph,
    Node,
    NodeId,
    Replica,
    Scaled,
    Serving,
    World,
)
from remora.types import ReplicaId
from remora_api.wire import BuildState, Target

DEPARTURE_S = 120
"""A node that said it would go, and is still there, takes replicas again after this."""
STABLE_S = 60
"""A replica that ran this long did not fail to start, whatever ends it later."""


@dataclass(frozen=True, slots=True)
class TargetSet:
    """The operator wants an application to be so."""

    target: Target


@dataclass(frozen=True, slots=True)
class TargetDeleted:
    """The operator wants an application gone."""

    application: str


@dataclass(frozen=True, slots=True)
class ReplicasScaled:
    """Autoscaling decided otherwise about some deployments of an application."""

    application: str
    scaled: Mapping[str, Scaled]


@dataclass(frozen=True, slots=True)
class NodesSeen:
    """All nodes that are alive."""

    nodes: Mapping[NodeId, Node]


@dataclass(frozen=True, slots=True)
class BuildDone:
    """A graph was built."""

    key: BuildKey
    graph: Graph


@dataclass(frozen=True, slots=True)
class BuildFailed:
    """The user's code could not be imported, or describes no graph."""

    key: BuildKey
    message: str


@dataclass(frozen=True, slots=True)
class BuildLost:
    """The build came to nothing through no fault of the code: its node went away."""

    key: BuildKey
    message: str


@dataclass(frozen=True, slots=True)
class ReplicaReady:
    """A replica listens."""

    replica: ReplicaId
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ReplicaFailed:
    """A replica did not start, is unhealthy, or did not take its new settings."""

    replica: ReplicaId
    message: str
    hung: bool = False
    """It never answered in the time that a start has."""


@dataclass(frozen=True, slots=True)
class ReplicaSlow:
    """A replica has been starting for long, and may yet start."""

    replica: ReplicaId
    message: str


@dataclass(frozen=True, slots=True)
class ReplicaDraining:
    """A replica drains, as its pod has to end."""

    replica: ReplicaId


@dataclass(frozen=True, slots=True)
class ReplicaDied:
    """Ray says that a replica's process is dead."""

    replica: ReplicaId
    message: str = ""
    with_node: bool = False
    """It was not the replica: its node is gone."""


Event = (
    TargetSet
    | TargetDeleted
    | ReplicasScaled
    | NodesSeen
    | BuildDone
    | BuildFailed
    | BuildLost
    | ReplicaReady
    | ReplicaFailed
    | ReplicaSlow
    | ReplicaDraining
    | ReplicaDied
)


def learn(world: World, event: Event, now: float) -> World:
    """Return the world after a piece of news."""
    return _settle(_learn(world, event, now))


def expire(world: World, now: float) -> World:
    """Return the world without what time alone has made untrue."""
    departing = {node: since for node, since in world.departing.items() if now < since + DEPARTURE_S}
    return world if departing == world.departing else replace(world, departing=departing)


def _learn(world: World, event: Event, now: float) -> World:
    match event:
        case TargetSet(target):
            return replace(world, targets={**world.targets, target.application: target})
        case TargetDeleted(application):
            return replace(world, targets=_without(world.targets, application))
        case ReplicasScaled(application, scaled):
            return _with_scaled(world, application, scaled)
        case NodesSeen(nodes):
            return replace(world, nodes=nodes)
        case BuildDone(key, graph):
            return _with_build(world, key, Build(BuildState.BUILT, graph=graph, since=now))
        case BuildFailed(key, message):
            failures = world.builds[key].failures + 1 if key in world.builds else 1
            return _with_build(world, key, Build(BuildState.FAILED, message=message, failures=failures, since=now))
        case BuildLost(key, message):
            return _with_build(world, key, Build(BuildState.WAITING, message=message, since=now))
        case ReplicaReady(replica, host, port):
            return _step(world, replica, Step.READY, now, host=host, port=port)
        case ReplicaFailed(replica, message, hung):
            return _step(_blame(world, replica, message, now, hung=hung), replica, Step.FAIL, now)
        case ReplicaSlow(replica, message):
            return (
                _with_replica(world, replace(world.replicas[replica], slow=message))
                if _starts(world, replica)
                else world
            )
        case ReplicaDraining(replica):
            return _step(_departing(world, replica, now), replica, Step.DRAIN, now)
        case ReplicaDied(replica, message, with_node=True):
            return _step(_departing(world, replica, now), replica, Step.DIED, now)
        case ReplicaDied(replica, message):
            return _step(_blame(world, replica, message, now), replica, Step.DIED, now)
        case _:
            assert_never(event)


def enact(world: World, action: actions.Action, now: float) -> World:
    """Return the world in which an action was decided."""
    match action:
        case actions.BuildGraph(key):
            before = world.builds.get(key, Build(BuildState.WAITING))
            state = before.state if before.state is BuildState.FAILED else BuildState.BUILDING
            return _with_build(world, key, replace(before, state=state, since=now, is_running=True))
        case actions.Start():
            return _with_replica(world, _replica(world, action, now))
        case actions.Drain(replica):
            return _step(world, replica, Step.DRAIN, now)
        case actions.Kill(replica):
            return _step(world, replica, Step.KILL, now)
        case actions.Reconfigure(replica, in_place, settings):
            given = replace(world.replicas[replica], settings=settings, grace_s=in_place.graceful_shutdown_timeout_s)
            return _with_replica(world, given)
        case _:
            assert_never(action)


def _settle(world: World) -> World:
    """Bring what follows from the rest up to date: the target that is served, and what nobody needs any more."""
    serving = {
        application: current
        for application, current in world.serving.items()
        if application in world.targets or any(r.application == application for r in world.replicas.values())
    }
    for target in world.targets.values():
        build = world.builds.get(versions.build_key(target))
        if build is not None and build.graph is not None:
            before = world.serving.get(target.application)
            serving[target.application] = Serving(target, build.graph, before.scaled if before else {})
    serving = {application: _scaled(world, current) for application, current in serving.items()}
    needed = {versions.build_key(target) for target in world.targets.values()}
    live = {(s.target.application, d.name, d.version) for s in serving.values() for d in versions.resolve(s)}
    return replace(
        world,
        serving=serving,
        builds={key: build for key, build in world.builds.items() if key in needed},
        crashes={key: crashes for key, crashes in world.crashes.items() if key in live},
        departing={node: since for node, since in world.departing.items() if node in world.nodes},
    )


def _scaled(world: World, serving: Serving) -> Serving:
    """Begin to scale what is autoscaled now, from the replicas that there are, and forget what is not any more."""
    scaled: dict[str, Scaled] = {}
    for deployment in versions.resolve(serving):
        limits, before = deployment.autoscaling, serving.scaled.get(deployment.name)
        if limits is None:
            continue
        if before is None:
            before = _beginning(world, serving, deployment.name)
        first = before or Scaled(limits.first, counts.begins(limits))
        meanwhile = serving.target.at_least.get(deployment.name, 0)
        count = min(max(first.count, limits.min_replicas, meanwhile), limits.max_replicas)
        if count == first.count:
            scaled[deployment.name] = first
        elif first.count < count and meanwhile > limits.min_replicas:
            scaled[deployment.name] = Scaled(count, f"{meanwhile} serve until requests have moved here")
        else:
            bound = "minReplicas" if count > first.count else "maxReplicas"
            scaled[deployment.name] = Scaled(count, f"{bound} is {count}")
    return serving if scaled == serving.scaled else replace(serving, scaled=scaled)


def _beginning(world: World, serving: Serving, deployment: str) -> Scaled | None:
    """Return what autoscaling begins with when there is something to go on from."""
    here = sum(
        (r.application, r.deployment, r.is_leaving) == (serving.target.application, deployment, False)
        for r in world.replicas.values()
    )
    if here:
        return Scaled(here, f"autoscaling begins with the {here} that there were")
    elsewhere = serving.target.scaled.get(deployment, 0)
    return Scaled(elsewhere, f"autoscaling goes on with {elsewhere}, as decided before") if elsewhere else None


def _with_scaled(world: World, application: str, scaled: Mapping[str, Scaled]) -> World:
    serving = world.serving.get(application)
    if serving is None:
        return world
    known = {name: it for name, it in scaled.items() if name in serving.scaled}
    changed = replace(serving, scaled={**serving.scaled, **known})
    return replace(world, serving={**world.serving, application: changed})


def _departing(world: World, id_: ReplicaId, now: float) -> World:
    """Put nothing more on the replica's node, unless it was we who told the replica to drain."""
    replica = world.replicas.get(id_)
    if replica is None or replica.is_leaving:
        return world
    return replace(world, departing={**world.departing, replica.node: now})


def _starts(world: World, id_: ReplicaId) -> bool:
    replica = world.replicas.get(id_)
    return replica is not None and replica.phase is Phase.STARTING


def _blame(world: World, id_: ReplicaId, message: str, now: float, *, hung: bool = False) -> World:
    """Count a start that failed; one count for replicas that started together, as they failed for one reason."""
    replica = world.replicas.get(id_)
    if replica is None or replica.phase not in (Phase.STARTING, Phase.RUNNING):
        return world
    key = (replica.application, replica.deployment, replica.version)
    if replica.phase is Phase.RUNNING and now - replica.since >= STABLE_S:
        return replace(world, crashes=_without(world.crashes, key))
    before = world.crashes.get(key)
    if before is not None and replica.started_at < before.last_at:
        return replace(
            world, crashes={**world.crashes, key: replace(before, message=message, hung=before.hung or hung)}
        )
    count = before.count + 1 if before else 1
    return replace(world, crashes={**world.crashes, key: Crashes(count, now, message, hung)})


def _step(world: World, id_: ReplicaId, step: Step, now: float, host: str = "", port: int = 0) -> World:
    replica = world.replicas.get(id_)
    if replica is None or not allows(replica.phase, step):
        return world
    phase = after(replica.phase, step)
    if phase is None:
        return replace(world, replicas=_without(world.replicas, id_))
    moved = replace(replica, phase=phase, since=now)
    return _with_replica(world, replace(moved, host=host, port=port) if port else moved)


def _replica(world: World, start: actions.Start, now: float) -> Replica:
    deployment = start.deployment
    application = start.target.application
    others = [r for r in world.replicas.values() if (r.application, r.deployment) == (application, deployment.name)]
    return Replica(
        id=start.replica,
        application=application,
        deployment=deployment.name,
        revision=start.target.revision,
        version=deployment.version,
        settings=deployment.settings,
        resources=deployment.resources,
        node=start.node,
        phase=Phase.STARTING,
        started_at=now,
        since=now,
        ingress=deployment.ingress,
        grace_s=deployment.in_place.graceful_shutdown_timeout_s,
        rank=ranks.free(others, start.node),
        bundles=tuple(map(Bundle, start.bundles, deployment.parts)),
        seat=start.seat,
    )


def _with_replica(world: World, replica: Replica) -> World:
    return replace(world, replicas={**world.replicas, replica.id: replica})


def _with_build(world: World, key: BuildKey, build: Build) -> World:
    return replace(world, builds={**world.builds, key: build})


K = TypeVar("K")
V = TypeVar("V")


def _without(mapping: Mapping[K, V], key: K) -> dict[K, V]:
    return {k: v for k, v in mapping.items() if k != key}
