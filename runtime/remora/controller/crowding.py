"""Crowding: where replicas go when those that came first stand where others have their only place.

Pure. The operator packs the replicas into pods, largest first, and has that many pods started; the controller places
them in the order in which they come. A small replica that came first may hold the CPU beside the only GPU. Once all
pods are there and replicas are missing all the same, the operator names their deployments (`Target.make_room`), and the
planner packs again what is there: largest first (first fit decreasing), each where it is if that can be. What has to
move for it moves a replica at a time, within its deployment's surge, and only when there is a place for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from remora.controller import placement
from remora.controller.state import Deployment, Node, NodeId, Replica
from remora.types import ReplicaId
from remora_api import packing
from remora_api.wire import Resources


@dataclass(frozen=True, slots=True)
class Crowd:
    """What is to move, and what is kept free for whom; empty where nobody waits or nothing would help."""

    places: Mapping[str, frozenset[NodeId]] = field(default_factory=dict)
    """By deployment: the nodes that its missing replicas, and those that move, are to go to."""
    in_the_way: frozenset[ReplicaId] = frozenset()

    def free_for(self, deployment: str, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """Return the nodes that are not kept for another deployment alone."""
        mine = self.places.get(deployment, frozenset())
        taken = frozenset[NodeId]().union(*self.places.values()) - mine
        return tuple(node for node in nodes if node.id not in taken)

    def last(self, replicas: Iterable[Replica]) -> list[Replica]:
        """Return a deployment's replicas in their order, those in the way behind all others: they go first."""
        return sorted(replicas, key=lambda it: it.id in self.in_the_way)

    def moving(self, current: Sequence[Replica], nodes: Sequence[Node], everyone: Iterable[Replica]) -> Replica | None:
        """Return the replica of a deployment that should move now; None if none is in the way, or has a place yet."""
        held = placement.holdings(nodes, everyone)
        for replica in current:
            places = self.places.get(replica.deployment, frozenset())
            if replica.id in self.in_the_way and any(
                node.id in places and placement.takes(replica.needs, node, held[node.id]) for node in nodes
            ):
                return replica
        return None


@dataclass(slots=True, eq=False)
class _Bin:
    """A node while it is being filled."""

    node: Node
    holds: list[Resources] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)

    def takes(self, needs: Resources, *more: Resources) -> bool:
        return placement.takes(needs, self.node, [*self.holds, *more])

    def has_room(self, deployment: Deployment) -> bool:
        limit = deployment.max_replicas_per_node
        return (limit is None or self.names[deployment.name] < limit) and self.takes(deployment.needs)

    def put(self, deployment: Deployment) -> None:
        self.holds.append(deployment.needs)
        self.names[deployment.name] += 1


def crowd(
    deployments: Iterable[Deployment], application: str, nodes: Sequence[Node], everyone: Iterable[Replica]
) -> Crowd:
    """Return how an application's deployments have to be packed so that none of their replicas is missing.

    `nodes` may take replicas of the application, in the order of its worker groups. What other applications have there
    stays, what is leaving is waited for, and what has bundles on several nodes, or is to have them, is left alone, as
    gangs are.
    """
    everyone = list(everyone)
    divided = {it.deployment for it in everyone if it.application == application and len(it.nodes) > 1}
    whole = [
        it
        for it in deployments
        if it.name not in divided and it.gang is None and (it.group is None or it.group.strategy.packs)
    ]
    order = sorted(whole, key=lambda it: (it.needs.size, it.name), reverse=True)
    known = {it.name for it in order}
    members: dict[str, list[Replica]] = {it.name: [] for it in order}
    bins = {node.id: _Bin(node) for node in nodes}
    for replica in sorted(everyone, key=lambda it: it.id):
        if replica.is_leaving:
            continue
        if replica.application == application and replica.deployment in known:
            if replica.node in bins:
                members[replica.deployment].append(replica)
            continue
        for id_, held in placement.holdings(nodes, [replica]).items():
            bins[id_].holds += held
    for packed in (_stay, _anew):
        fresh = {id_: replace(it, holds=list(it.holds), names=Counter()) for id_, it in bins.items()}
        places = packed(order, members, fresh)
        if places is not None:
            return _difference(places, members)
    return Crowd()


_Places = Mapping[str, Counter[NodeId]]
"""By deployment, how many replicas each node is to have."""


def _stay(
    order: Sequence[Deployment], members: Mapping[str, Sequence[Replica]], bins: Mapping[NodeId, _Bin]
) -> _Places | None:
    """Pack so that what is there stays where it can, and what is new drives out as little as possible."""
    places: dict[str, Counter[NodeId]] = {}
    for index, deployment in enumerate(order):
        mine = places[deployment.name] = Counter[NodeId]()
        for replica in members[deployment.name]:
            there = bins[replica.node]
            if mine.total() < deployment.count and there.has_room(deployment):
                there.put(deployment)
                mine[replica.node] += 1
        while mine.total() < deployment.count:
            fitting = [it for it in bins.values() if it.has_room(deployment)]
            if not fitting:
                return None
            later = order[index + 1 :]
            best = min(
                fitting,
                key=lambda it: (_driven_out(it, deployment, later, members), it.names[deployment.name], it.node.name),
            )
            best.put(deployment)
            mine[best.node.id] += 1
    return places


def _driven_out(
    there: _Bin, deployment: Deployment, later: Iterable[Deployment], members: Mapping[str, Sequence[Replica]]
) -> tuple[tuple[float, int, int], ...]:
    """Return the sizes of those on a node that would have no room there beside one more replica, the largest first."""
    held = [deployment.needs]
    out = []
    for other in later:
        for _ in (it for it in members[other.name] if it.node == there.node.id):
            if there.takes(other.needs, *held):
                held.append(other.needs)
            else:
                out.append(other.needs.size)
    return tuple(out)


def _anew(
    order: Sequence[Deployment], members: Mapping[str, Sequence[Replica]], bins: Mapping[NodeId, _Bin]
) -> _Places | None:
    """Pack as the operator did when it counted the pods, whatever is there: pods are opened one after the other."""
    places: dict[str, Counter[NodeId]] = {}
    opened: list[_Bin] = []
    for deployment in order:
        mine = places[deployment.name] = Counter[NodeId]()
        for index in range(deployment.count):
            fresh = [it for it in bins.values() if it not in opened]
            # The second is apart from the first if that is possible at all.
            apart = deployment.spread and index == 1
            last = [it for it in opened if it.names[deployment.name]] if apart else []
            best = next((it for it in packing.tried(opened, fresh, last) if it.has_room(deployment)), None)
            if best is None:
                return None
            if best not in opened:
                opened.append(best)
            best.put(deployment)
            mine[best.node.id] += 1
    return places


def _difference(wanted: _Places, members: Mapping[str, Sequence[Replica]]) -> Crowd:
    """Return who has to leave for it, and where what is missing goes."""
    places: dict[str, frozenset[NodeId]] = {}
    leave: set[ReplicaId] = set()
    for name, nodes in wanted.items():
        open_ = Counter(nodes)
        for replica in members[name]:
            if open_[replica.node]:
                open_[replica.node] -= 1
            else:
                leave.add(replica.id)
        missing = frozenset(node for node, number in open_.items() if number)
        if missing:
            places[name] = missing
    return Crowd(places, frozenset(leave))
