"""The planner: what to do now, given everything that is known.

Pure. `loop` calls it after each piece of news and performs the result; it is safe to call at any time, and returns no
actions when nothing is to be done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from remora.controller import budget, crowding, gangs, groups, placement, rollout, versions
from remora.controller.actions import Action, BuildGraph, Drain, Kill, Reconfigure, Start
from remora.controller.crowding import Crowd
from remora.controller.events import DEPARTURE_S, enact
from remora.controller.lifecycle import Phase
from remora.controller.state import Build, Crashes, Deployment, Node, NodeId, Replica, Seat, Serving, World
from remora.types import ReplicaId
from remora_api.wire import BuildState, Target
from remora_api.wire_group import gangs_for

NewId = Callable[[str, str], ReplicaId]
"""Makes a name for a replica of an application's deployment."""

FAILING_AFTER = 3
"""Starts that failed in a row after which waiting will not help, unless the code says how many."""
DRAIN_SLACK_S = 5
"""A draining replica ends itself after its grace; this much later it is killed."""
KILL_AGAIN_S = 10
BUILD_AGAIN_S = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and when to ask again if no news comes before."""

    actions: tuple[Action, ...] = ()
    wake_at: float | None = None


def plan(world: World, now: float, new_id: NewId) -> Plan:
    """Return all that can be done now for every application."""
    actions: list[Action] = []
    planned = world
    for section in (_builds, _failures, _departures, _deployments):
        for action in section(planned, now, new_id):
            actions.append(action)
            planned = enact(planned, action, now)
    return Plan(tuple(actions), _wake_at(planned, now))


def start_delay_s(crashes: Crashes) -> float:
    """Return how long after its last failure a start is tried again: 0.5 s, 1 s, 2 s, … at most 30 s."""
    return min(30.0, 0.25 * 2.0 ** min(crashes.count, 10))


def build_delay_s(failures: int) -> float:
    """Return how long after a build failed it is tried again, should the reason lie outside: 15 s, … at most 5 min."""
    return min(300.0, 7.5 * 2.0 ** min(failures, 10))


def _builds(world: World, now: float, new_id: NewId) -> Iterator[Action]:
    for target in world.targets.values():
        key = versions.build_key(target)
        build = world.builds.get(key)
        if build is not None:
            if build.is_running or build.state is BuildState.BUILT:
                continue
            if now < _build_again_at(build):
                continue
        nodes = placement.eligible(world.nodes, target.groups, world.draining_nodes)
        if nodes:
            yield BuildGraph(key, target, min(nodes, key=lambda node: node.name).id)


def _build_again_at(build: Build) -> float:
    """Return when a build that failed, or was lost, is tried again."""
    return build.since + (build_delay_s(build.failures) if build.state is BuildState.FAILED else BUILD_AGAIN_S)


def _failures(world: World, now: float, new_id: NewId) -> Iterator[Action]:
    """Kill what has failed, what does not end in time, and again what Ray did not kill."""
    for replica in world.replicas.values():
        match replica.phase:
            case Phase.FAILED:
                yield Kill(replica.id, "it failed")
            case Phase.DRAINING if now >= _drained_by(replica):
                yield Kill(replica.id, f"it did not end within {replica.grace_s:g} s")
            case Phase.STOPPING if now >= replica.since + KILL_AGAIN_S:
                yield Kill(replica.id, "it did not die when killed before")
            case _:
                pass
    for replica, failed in gangs.broken(world.replicas.values()):
        if failed:
            yield Kill(replica.id, "another replica of its gang has ended")
        else:
            yield from _take_away(replica)


def _departures(world: World, now: float, new_id: NewId) -> Iterator[Action]:
    """Take away replicas of applications that were deleted, and of deployments that the code does not have any more.

    The latter only once the rest of the application is as wanted, and nothing older than that is left: replicas of the
    old version may still call them. The ingress always goes first, as what it works on calls the others to the end.
    """
    for application in {it.application: None for it in world.replicas.values()}:
        departing = [it for it in world.replicas.values() if it.application == application]
        serving = world.serving.get(application)
        if application in world.targets:
            if serving is None or not _is_complete(world, serving):
                continue
            wanted = {it.name: it.version for it in versions.resolve(serving)}
            stay = [it for it in departing if it.deployment in wanted]
            if any(it.is_leaving or it.version != wanted[it.deployment] for it in stay):
                continue
            departing = [it for it in departing if it.deployment not in wanted]
        first = [it for it in departing if it.ingress] or departing
        for replica in first:
            yield from _take_away(replica)


def _deployments(world: World, now: float, new_id: NewId) -> Iterator[Action]:
    for application in world.targets:
        serving = world.serving.get(application)
        if serving is None:
            continue
        crowd = _crowd(world, serving)
        # Those that nodes are kept for come first: what leaves one makes room for nobody else.
        for deployment in sorted(versions.resolve(serving), key=lambda it: it.name not in crowd.places):
            for action in _deployment(world, serving, deployment, crowd, now, new_id):
                yield action
                world = enact(world, action, now)


def _crowd(world: World, serving: Serving) -> Crowd:
    """Return what is in the way of the deployments that the operator wants room made for."""
    application = serving.target.application
    named = world.targets[application].make_room
    if not named:
        return Crowd()
    wanted = versions.resolve(serving)
    here = Counter(
        it.deployment for it in world.replicas.values() if it.application == application and not it.is_leaving
    )
    if not any(here[it.name] < it.count for it in wanted if it.name in named):
        return Crowd()
    nodes = placement.eligible(world.nodes, serving.target.groups, world.draining_nodes)
    groups = [it.name for it in serving.target.groups]
    ordered = sorted(nodes, key=lambda it: (groups.index(it.group) if it.group in groups else 0, it.name))
    return crowding.crowd(wanted, application, ordered, world.replicas.values())


def _deployment(
    world: World, serving: Serving, deployment: Deployment, crowd: Crowd, now: float, new_id: NewId
) -> Iterator[Action]:
    application = serving.target.application
    members = members_of(world, application, deployment.name)
    leaving_nodes = world.draining_nodes
    here = [r for r in members if not r.is_leaving]
    homes = homes_of(world, serving.target, leaving_nodes)
    size = gangs.size_of(deployment, here)
    alike = [r for r in here if is_as_wanted(r, deployment, homes, world.nodes)]
    current = gangs.whole(alike, deployment)
    stale = sorted((r for r in here if r not in current), key=lambda r: _emptied_first(world, r))
    current = crowd.last(placement.by_worth(current, world.nodes, deployment.spread))
    nodes = placement.eligible(world.nodes, serving.target.groups, leaving_nodes)
    crashes = world.crashes.get((application, deployment.name, deployment.version))
    starts_well = crashes is None or any(r.is_ready and r.since > crashes.last_at for r in current)
    if size == 1 and len(members) == len(current) == deployment.count and starts_well:
        moving = None
        if crowd.places:
            moving = crowd.moving(current, nodes, world.replicas.values())
        elif deployment.spread:
            moving = placement.misplaced(current, nodes, world.replicas.values(), deployment.needs)
        if moving is not None:
            current, stale = [it for it in current if it is not moving], [moving]
    kept, going = gangs.units(current, size), gangs.units(stale, size)
    wanted, leaving = gangs_for(deployment.count, size), gangs_for(len(members) - len(here), size)
    allowed = budget.of(world.targets[application], deployment)
    has_to_go = bool(going) or len(kept) > wanted
    is_settled = len(here) == len(members) and all(it.is_ready for it in current)
    if has_to_go and is_settled and _makes_way(world, serving, deployment, nodes, members):
        allowed = replace(allowed, max_unavailable=max(allowed.max_unavailable, deployment.count - len(here) + 1))
    step = rollout.step(wanted, kept, going, leaving, gangs.by_gangs(allowed, size))

    drained = {it.id: it for unit in (*kept, *going) if unit.id in step.drain for it in unit.members}
    for replica in drained.values():
        yield from _take_away(replica)
    for replica in current:
        if replica.is_ready and replica.settings != deployment.settings and replica.id not in drained:
            yield Reconfigure(replica.id, deployment.in_place, deployment.settings)

    # A rollout from gangs to replicas on their own replaces as many of these at a time as a gang had.
    starts = step.start if deployment.gang is not None else min(step.start * size, deployment.count - len(current))
    for _ in range(_startable(world, application, deployment, starts, current, now)):
        everyone = tuple(world.replicas.values())
        free = crowd.free_for(deployment.name, nodes) if crowd.places else ()
        places = places_of(serving.target, deployment, free, everyone)
        places = places or places_of(serving.target, deployment, nodes, everyone)
        if not places:
            return
        for start in _starts(serving.target, deployment, places, new_id):
            yield start
            world = enact(world, start, now)


def _starts(
    target: Target, deployment: Deployment, places: Sequence[groups.Assignment], new_id: NewId
) -> Iterator[Start]:
    """Yield a start for each of these places: all of a gang, or one replica on its own."""
    ids = tuple(new_id(target.application, deployment.name) for _ in places)
    for rank, (id_, nodes) in enumerate(zip(ids, places, strict=True)):
        seat = None if deployment.gang is None else Seat(ids[0].rpartition("#")[2], rank, ids)
        yield Start(id_, target, deployment, nodes[0], nodes if deployment.group is not None else (), seat)


def places_of(
    target: Target, deployment: Deployment, nodes: Sequence[Node], replicas: Sequence[Replica]
) -> Sequence[groups.Assignment]:
    """Return the nodes of a new replica's parts, itself in the first; nothing while there is no room.

    Of a gang, those of all its replicas: one for all of them, or nothing.
    """
    application, name, spread = target.application, deployment.name, deployment.spread
    if deployment.group is None and deployment.gang is None:
        needs, limit = deployment.resources, deployment.max_replicas_per_node
        node = placement.choose(nodes, replicas, application, name, needs, spread, limit)
        return () if node is None else ((node.id,),)
    order = placement.ranked(nodes, replicas, application, name, spread)
    held = placement.holdings(nodes, replicas)
    # Where no node comes that is larger, or emptier, bundles are divided at once, as Ray divides them.
    divided = not target.groups
    if deployment.gang is not None:
        return gangs.seats(deployment, order, held, divided=divided) or ()
    assert deployment.group is not None
    found = groups.assign(deployment.group, order, held, divided=divided)
    return () if found is None else (found,)


def _makes_way(
    world: World, serving: Serving, deployment: Deployment, nodes: Sequence[Node], members: Sequence[Replica]
) -> bool:
    """Tell whether a successor has a place only when one of these has gone, on a Ray that does not grow."""
    if serving.target.groups or not nodes:
        return False
    if placement.is_full(nodes, members, deployment.max_replicas_per_node):
        return True
    everyone = tuple(world.replicas.values())
    if places_of(serving.target, deployment, nodes, everyone):
        return False
    others = tuple(it for it in everyone if it not in members)
    return bool(places_of(serving.target, deployment, nodes, others))


def _emptied_first(world: World, replica: Replica) -> tuple[int, str, float]:
    """Order replicas to be taken away node by node, the emptiest first: only an empty node makes room for another."""
    return (sum(r.node == replica.node for r in world.replicas.values()), replica.node, replica.started_at)


def _startable(
    world: World, application: str, deployment: Deployment, wanted: int, current: list[Replica], now: float
) -> int:
    """Return how many of the wanted starts may be tried now: after a failure one at a time, and not at once."""
    crashes = world.crashes.get((application, deployment.name, deployment.version))
    if crashes is None or any(r.is_ready and r.since > crashes.last_at for r in current):
        return wanted
    is_trying = any(not r.is_ready for r in current)
    return 0 if is_trying or now < crashes.last_at + start_delay_s(crashes) else min(1, wanted)


def _take_away(replica: Replica) -> Iterator[Action]:
    match replica.phase:
        case Phase.RUNNING:
            yield Drain(replica.id, replica.grace_s)
        case Phase.STARTING:
            yield Kill(replica.id, "it is not wanted any more")
        case _:
            pass


def _is_complete(world: World, serving: Serving) -> bool:
    homes = homes_of(world, serving.target)
    return all(
        sum(
            r.is_ready and is_as_wanted(r, deployment, homes, world.nodes)
            for r in members_of(world, serving.target.application, deployment.name)
        )
        >= deployment.count
        for deployment in versions.resolve(serving)
    )


def homes_of(world: World, target: Target, leaving: frozenset[NodeId] = frozenset()) -> frozenset[NodeId]:
    """Return the nodes on which a target's replicas may stay; one that Ray does not list now counts, it may be slow."""
    unlisted = {r.node for r in world.replicas.values()} - world.nodes.keys() - leaving
    return frozenset(node.id for node in placement.eligible(world.nodes, target.groups, leaving)) | unlisted


def is_as_wanted(
    replica: Replica, deployment: Deployment, homes: frozenset[NodeId], nodes: Mapping[NodeId, Node]
) -> bool:
    """Tell whether a replica is of the version that is wanted, and may stay where it is with all of its bundles.

    A node that has only a bundle of it is gone when Ray does not list it: no process of ours would ever tell.
    """
    if replica.version != deployment.version:
        return False
    return replica.nodes <= homes and all(bundle.node in nodes for bundle in replica.bundles[1:])


def members_of(world: World, application: str, deployment: str) -> list[Replica]:
    """Return all replicas of a deployment, whatever their phase."""
    return [r for r in world.replicas.values() if (r.application, r.deployment) == (application, deployment)]


def _drained_by(replica: Replica) -> float:
    return replica.since + replica.grace_s + DRAIN_SLACK_S


def _wake_at(world: World, now: float) -> float | None:
    """Return the next moment at which time alone changes the plan."""
    moments = [crashes.last_at + start_delay_s(crashes) for crashes in world.crashes.values()]
    moments += [
        _build_again_at(build)
        for build in world.builds.values()
        if not build.is_running and build.state is not BuildState.BUILT
    ]
    moments += [_drained_by(r) for r in world.replicas.values() if r.phase is Phase.DRAINING]
    moments += [r.since + KILL_AGAIN_S for r in world.replicas.values() if r.phase is Phase.STOPPING]
    moments += [since + DEPARTURE_S for since in world.departing.values()]
    return min((moment for moment in moments if moment > now), default=None)
