"""Demand: how many worker pods of each group the replicas need.

Pure. The controller says how many replicas of what size there have to be; this packs them into pods, largest first,
filling the groups in the order in which the resource lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from remora_api import bundles, packing, ray_labels, wire
from remora_api.target import ray_resources
from remora_api.v1alpha1 import WorkerGroup
from remora_api.wire_group import PlacementGroup, Strategy, gangs_for


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one pod of a group has for replicas, and how many pods there may be."""

    group: str
    cpu_milli: int
    memory_bytes: int
    """0 means that memory is not counted."""
    custom: Mapping[str, float]
    minimum: int
    maximum: int
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of its pods as Ray's nodes, as far as they are known before."""

    @classmethod
    def of(cls, group: WorkerGroup) -> Capacity:
        """Return the capacity of a worker group."""
        return cls(
            group=group.name,
            cpu_milli=group.resources.cpu_milli or 0,
            memory_bytes=group.resources.memory_bytes or 0,
            custom=ray_resources(group.resources.others),
            minimum=group.min_replicas,
            maximum=group.max_replicas,
            labels={**group.ray_labels, ray_labels.GROUP: group.name},
        )


@dataclass(frozen=True, slots=True)
class Need:
    """Replicas of one deployment."""

    deployment: str
    replicas: int
    resources: wire.Resources
    """Of one replica, in all."""
    spread: bool = True
    per_node: int | None = None
    """At most so many in one pod; None is no limit."""
    group: PlacementGroup | None = None
    """How a replica's resources may be divided over pods; None where one pod has to hold them."""
    selector: Mapping[str, str] = field(default_factory=dict)
    """What the labels of a bundle's pod have to be, where this is one bundle."""

    @property
    def selectors(self) -> Sequence[Mapping[str, str]]:
        """What the labels of a pod have to be that holds all of it."""
        return (self.selector,) if self.group is None else self.group.selectors


@dataclass(frozen=True, slots=True)
class Demand:
    """The answer."""

    pods: Mapping[str, int]
    """By group: what the replicas need, neither below nor above what the group allows, taken together."""
    unplaced: tuple[str, ...] = ()
    """Deployments some replica of which fits nowhere."""
    unsuited: Mapping[str, str] = field(default_factory=dict)
    """Those of them that ask for labels which no group has: for which."""


@dataclass(slots=True, eq=False)
class _Bin:
    """One pod while it is being filled."""

    capacity: Capacity
    cpu_milli: int
    memory_bytes: int
    custom: dict[str, float]
    holds: Counter[str] = field(default_factory=Counter)
    """Replicas by deployment."""

    @classmethod
    def empty(cls, of: Capacity) -> _Bin:
        return cls(of, of.cpu_milli, of.memory_bytes, dict(of.custom))

    def copy(self) -> _Bin:
        return replace(self, custom=dict(self.custom), holds=Counter(self.holds))

    def takes(self, need: Need) -> bool:
        wants = need.resources
        return (
            (need.per_node is None or self.holds[need.deployment] < need.per_node)
            and wants.cpu_milli <= self.cpu_milli
            and (not self.capacity.memory_bytes or wants.memory_bytes <= self.memory_bytes)
            and all(amount <= self.custom.get(name, 0.0) + 1e-9 for name, amount in wants.custom.items())
            and all(ray_labels.may_suit(it, self.capacity.labels) for it in need.selectors)
        )

    def put(self, need: Need) -> None:
        self.cpu_milli -= need.resources.cpu_milli
        self.memory_bytes -= need.resources.memory_bytes
        for name, amount in need.resources.custom.items():
            self.custom[name] = self.custom.get(name, 0.0) - amount
        self.holds[need.deployment] += 1


def demand(needs: Iterable[Need], groups: Sequence[Capacity]) -> Demand:
    """Return the number of pods of each group.

    Example: pods of 2 CPUs; A needs 3 × 1 CPU, B 2 × 0.5 CPU → A A | A B | … and B's second replica goes to the first
    pod with room that does not hold B yet: none, so a third pod is opened for the spread.
    """
    bins: list[_Bin] = []
    opened = {group.group: 0 for group in groups}
    unplaced: list[str] = []
    unsuited: dict[str, str] = {}
    for need in sorted(needs, key=lambda it: (it.resources.size, it.deployment), reverse=True):
        for index in range(need.replicas):
            apart = need.spread and index == 1
            if _is_divided(need, groups):
                is_placed = _place_bundles(need, bins, groups, opened)
            else:
                is_placed = _place(need, bins, groups, opened, apart=apart)
            if not is_placed and need.deployment not in unplaced:
                unplaced.append(need.deployment)
                if (labels := _unknown_labels(need, groups)) is not None:
                    unsuited[need.deployment] = labels
    pods = {it.group: min(max(opened[it.group], it.minimum), it.maximum) for it in groups}
    return Demand(pods, tuple(sorted(unplaced)), unsuited)


def needs_of(status: wire.ApplicationStatus, max_surge: int, *, required: bool = False) -> list[Need]:
    """Return what an application's deployments need, with room for the surge while one is being replaced.

    With `required`, without what autoscaling would add to what the resource wants in any case.
    """
    return [need for it in status.deployments for need in _needs(it, max_surge, required)]


def _needs(it: wire.DeploymentStatus, max_surge: int, required: bool) -> Iterator[Need]:
    count = _count(it, required)
    surge = min(in_gangs(max_surge, it), count) if _is_replaced(it) else 0
    former = sum(old.replicas for old in it.former) if _is_replaced(it) else 0
    # Spread is for those that stay: a single replica and its successor may share a pod.
    spread = it.spread and count > 1
    yield Need(
        deployment=it.name,
        replicas=max(0, count + surge - former),
        resources=it.resources,
        spread=spread,
        per_node=it.max_replicas_per_node,
        group=it.group,
    )
    if former:
        for old in it.former:
            yield Need(it.name, old.replicas, old.resources, spread, it.max_replicas_per_node, old.group)


def in_gangs(surge: int, deployment: wire.DeploymentStatus) -> int:
    """Return the surge in whole gangs, as replicas come by these."""
    return gangs_for(surge, deployment.gang_size) * deployment.gang_size


def _count(deployment: wire.DeploymentStatus, required: bool) -> int:
    return min(deployment.required, deployment.desired) if required else deployment.desired


def _is_replaced(deployment: wire.DeploymentStatus) -> bool:
    """Some replicas are of another version and have to be kept until their successors are ready."""
    return deployment.updated < deployment.desired and deployment.ready > deployment.updated


def _place(need: Need, bins: list[_Bin], groups: Sequence[Capacity], opened: dict[str, int], *, apart: bool) -> bool:
    """Put one replica; `apart` from others of its deployment if that is possible at all."""
    fresh = (_Bin.empty(it) for it in groups if opened[it.group] < it.maximum)
    last = [it for it in bins if need.deployment in it.holds] if apart else []
    found = next((it for it in packing.tried(bins, fresh, last) if it.takes(need)), None)
    if found is None:
        return False
    if found not in bins:
        opened[found.capacity.group] += 1
        bins.append(found)
    found.put(need)
    return True


def _is_divided(need: Need, groups: Sequence[Capacity]) -> bool:
    """Tell whether a replica's bundles go into several pods: with PACK only where no pod is large enough for all."""
    if need.group is None or need.group.strategy is Strategy.STRICT_PACK:
        return False
    return need.group.strategy is not Strategy.PACK or not any(_Bin.empty(it).takes(need) for it in groups)


def _unknown_labels(need: Need, groups: Sequence[Capacity]) -> str | None:
    """Return what no group has of the labels that a replica asks for; None if that is not why it has no place."""
    is_whole = need.group is not None and need.group.strategy is Strategy.STRICT_PACK
    asked = [need.selectors] if is_whole else [(it,) for it in need.selectors]
    for together in asked:
        if not any(all(ray_labels.may_suit(it, group.labels) for it in together) for group in groups):
            pairs = dict.fromkeys(f"{name}: {wanted}" for selector in together for name, wanted in selector.items())
            return ", ".join(pairs)
    return None


def _place_bundles(need: Need, bins: list[_Bin], groups: Sequence[Capacity], opened: dict[str, int]) -> bool:
    """Put all bundles of one replica, or none: each in a pod of its own as far as its strategy asks for that."""
    assert need.group is not None
    strategy = need.group.strategy
    tried, numbers, own = [it.copy() for it in bins], dict(opened), f"{need.deployment} of this replica"
    parts = bundles.of(need.group)
    labelled = zip(parts, need.group.selectors or ({},) * len(parts), strict=True)
    for resources, selector in sorted(labelled, key=lambda it: it[0].size, reverse=True):
        per_node = 1 if strategy is Strategy.STRICT_SPREAD else None
        bundle = Need(own, 1, resources, per_node=per_node, selector=selector)
        if not _place(bundle, tried, groups, numbers, apart=strategy is Strategy.SPREAD):
            return False
    for it in tried:
        if it.holds.pop(own, 0):
            it.holds[need.deployment] += 1
    bins[:] = tried
    opened.update(numbers)
    return True
