"""Gangs: replicas that are placed together or not at all, and none of which stays when one has failed.

Pure. A rollout takes whole gangs as its members, so that what holds of the budget holds of them; the planner asks here
which there are, and where a new one goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from remora.controller import groups, placement
from remora.controller.groups import Assignment, Held
from remora.controller.lifecycle import Phase
from remora.controller.rollout import Budget
from remora.controller.state import Deployment, Node, Replica
from remora.types import ReplicaId
from remora_api.wire_group import Strategy, gangs_for


@dataclass(frozen=True, slots=True)
class Unit:
    """What a rollout starts and takes away at a time: a gang, or as many replicas that are in none."""

    members: tuple[Replica, ...]

    @property
    def id(self) -> ReplicaId:
        """Its first member stands for it."""
        return self.members[0].id

    @property
    def is_ready(self) -> bool:
        """Whether any of it serves: to take it away costs as much as if all of it did."""
        return any(it.is_ready for it in self.members)

    @property
    def is_leaving(self) -> bool:
        """Whether any of it goes, and so all of it."""
        return any(it.is_leaving for it in self.members)


def size_of(deployment: Deployment, here: Iterable[Replica]) -> int:
    """Return how many replicas are replaced together: those of the largest gang that there is, or is to be."""
    there = [len(it.seat.members) for it in here if it.seat is not None]
    return max([deployment.gang.size if deployment.gang is not None else 1, *there])


def units(replicas: Sequence[Replica], size: int) -> list[Unit]:
    """Return the gangs of these replicas, in the order of their first ones; what is in none by `size`."""
    gangs: dict[str, list[Replica]] = {}
    alone: list[Replica] = []
    for replica in replicas:
        (alone if replica.seat is None else gangs.setdefault(replica.seat.gang, [])).append(replica)
    chunks = [alone[start : start + size] for start in range(0, len(alone), size)]
    return [Unit(tuple(it)) for it in (*gangs.values(), *chunks)]


def whole(replicas: Sequence[Replica], deployment: Deployment) -> list[Replica]:
    """Return those of a deployment's replicas that are in a gang as it has to be, every one of which is among these."""
    if deployment.gang is None:
        return [it for it in replicas if it.seat is None]
    present = {it.id for it in replicas}
    return [it for it in replicas if it.seat is not None and present.issuperset(it.seat.members)]


def by_gangs(budget: Budget, size: int) -> Budget:
    """Return the budget in gangs: a part of one is a whole one."""
    return Budget(gangs_for(budget.max_surge, size), gangs_for(budget.max_unavailable, size))


def broken(replicas: Iterable[Replica]) -> Iterator[tuple[Replica, bool]]:
    """Yield the replicas whose gang has lost a member and that do not know it yet; True where one has failed.

    False where one only ends in order, as its pod does: then so do the others.
    """
    gangs: dict[str, list[Replica]] = {}
    for replica in replicas:
        if replica.seat is not None:
            gangs.setdefault(replica.seat.gang, []).append(replica)
    for members in gangs.values():
        staying = [it for it in members if not it.is_leaving]
        assert members[0].seat is not None
        if len(staying) == len(members[0].seat.members):
            continue
        drains = any(it.phase is Phase.DRAINING for it in members)
        failed = any(it.phase in (Phase.FAILED, Phase.STOPPING) for it in members) or not drains
        yield from ((it, failed) for it in staying)


def seats(deployment: Deployment, nodes: Sequence[Node], held: Held, *, divided: bool) -> tuple[Assignment, ...] | None:
    """Return the nodes of each member of a new gang, or None while there is no room for all of them.

    PACK: on one node if there is one, else on as few as they come; SPREAD: each where the fewest are.
    """
    assert deployment.gang is not None
    if deployment.gang.strategy.packs:
        for node in nodes:
            found = _fill(deployment, [node], held, divided=divided)
            if found is not None:
                return found
    return _fill(deployment, nodes, held, divided=divided)


def _fill(deployment: Deployment, nodes: Sequence[Node], held: Held, *, divided: bool) -> tuple[Assignment, ...] | None:
    assert deployment.gang is not None
    taken = {node.id: list(held.get(node.id, ())) for node in nodes}
    known = {node.id: node for node in nodes}
    mine = {node.id: 0 for node in nodes}
    packs = deployment.gang.strategy is not Strategy.SPREAD
    found: list[Assignment] = []
    for _ in range(deployment.gang.size):
        order = sorted(nodes, key=lambda node: -mine[node.id] if packs else mine[node.id])
        if deployment.group is not None:
            places = groups.assign(deployment.group, order, taken, divided=divided)
        else:
            needs = deployment.resources
            fitting = (it for it in order if placement.takes(placement.own(needs, it), it, taken[it.id]))
            places = next(((it.id,) for it in fitting), None)
        if places is None:
            return None
        mine[places[0]] += 1
        for part, id_ in zip(deployment.parts, places, strict=True):
            taken[id_].append(part if deployment.group is not None else placement.own(part, known[id_]))
        found.append(places)
    return tuple(found)
