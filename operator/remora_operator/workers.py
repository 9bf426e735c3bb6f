"""Workers: the ReplicaSets of the newest Ray cluster, from what the replicas need.

Pure. Demand says how many pods, `scale` how to get there without losing a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from remora_api import wire
from remora_api.meta import Component
from remora_api.v1alpha1 import ServeApplication, WorkerGroup
from remora_operator import names, scale
from remora_operator.crowded import crowded
from remora_operator.demand import Capacity, Demand, demand, needs_of
from remora_operator.incarnations import Clusters
from remora_operator.kinds import REPLICA_SET, Manifest, Ref
from remora_operator.observed import Child, Observed
from remora_operator.resources import worker
from remora_operator.resources.metadata import Owner
from remora_operator.surge import fresh_needs, room


@dataclass(frozen=True, slots=True)
class GroupCount:
    """One worker group in numbers."""

    name: str
    ready: int
    desired: int
    demand: int


@dataclass(frozen=True, slots=True)
class Workers:
    """What to do about worker pods."""

    targets: tuple[wire.GroupTarget, ...]
    counts: tuple[GroupCount, ...]
    unplaced: tuple[str, ...] = ()
    unsuited: Mapping[str, str] = field(default_factory=dict)
    """Those that ask for labels of Ray's nodes which no group has: for which."""
    creates: tuple[Manifest, ...] = ()
    replicas: tuple[tuple[Ref, int], ...] = ()
    """ReplicaSets to resize."""
    costs: tuple[tuple[str, int], ...] = ()
    """Deletion costs to write, by pod."""
    drain: tuple[str, ...] = ()
    """Pods that the controller has to empty."""
    make_room: tuple[str, ...] = ()
    """Deployments for which the controller has to move others."""
    finished: tuple[Ref, ...] = ()
    """ReplicaSets of the past that hold nothing any more."""


def workers(
    application: ServeApplication, observed: Observed, clusters: Clusters, revision: str, *, asleep: bool = False
) -> Workers:
    """Return the next step for all worker groups; `asleep` wants no pods at all."""
    owner = Owner.of(application)
    groups = application.spec.workers
    targets = {
        group.name: wire.GroupTarget(
            name=group.name,
            template=names.short_hash(worker.inputs(application, group, clusters.newest, clusters.image)),
        )
        for group in groups
    }
    mine = [it for it in observed.worker_sets() if it.incarnation == clusters.newest]
    by_ref = {it.ref: it for it in mine}
    wanted, answer = (
        (dict.fromkeys(targets, 0), Demand(dict.fromkeys(targets, 0)))
        if asleep
        else _wanted(application, observed, clusters, revision, by_ref, targets)
    )
    view = observed.controller(clusters.newest)
    nodes = {it.name: it for it in view.status.nodes} if view.is_reachable and view.status else None

    fresh, may_build = _fresh(application, observed, clusters, revision)
    creates: list[Manifest] = []
    steps: list[tuple[Child, scale.Step]] = []
    for group in groups:
        target = targets[group.name]
        existing = by_ref.pop(Ref(REPLICA_SET, names.worker(owner.name, target)), None)
        count = _room(
            group, target, wanted[group.name], existing, observed, fresh, clusters, nodes, may_build=may_build
        )
        if existing is not None:
            steps.append((existing, _step(existing, count, observed, nodes)))
        elif clusters.has_started or (clusters.is_only and not asleep):
            # Beside a Ray cluster that serves, pods of the next one wait for its head: they take room from others.
            creates.append(
                worker.replica_set(owner, application, group, target, clusters.newest, clusters.image, count)
            )
    stale = list(by_ref.values())
    steps += [(it, _step(it, 0, observed, nodes)) for it in stale]
    return Workers(
        targets=tuple(targets.values()),
        counts=tuple(_count(it, targets[it.name], observed, wanted[it.name], answer.pods) for it in groups),
        unplaced=answer.unplaced,
        unsuited={name: labels for name, labels in answer.unsuited.items() if name in answer.unplaced},
        creates=tuple(creates),
        replicas=tuple((it.ref, step.replicas) for it, step in steps if step.replicas != it.replicas),
        costs=tuple(cost for _, step in steps for cost in step.costs),
        drain=tuple(sorted({name for _, step in steps for name in step.drain} | _ending(observed, clusters))),
        make_room=crowded(view.application(owner.name), targets.values(), wanted, nodes),
        finished=tuple(it.ref for it in stale if it.replicas == 0 and not _active(it, observed)),
    )


def _wanted(
    application: ServeApplication,
    observed: Observed,
    clusters: Clusters,
    revision: str,
    sets: Mapping[Ref, Child],
    targets: Mapping[str, wire.GroupTarget],
) -> tuple[dict[str, int], Demand]:
    """Return how many pods each group has to have, and the demand behind it; that is empty while it is not known."""
    groups = application.spec.workers
    view = observed.controller(clusters.newest)
    status = view.application(application.metadata.name) if view.is_reachable else None
    if status is not None and status.revision == revision and status.build.state is wire.BuildState.BUILT:
        capacities = [Capacity.of(it) for it in groups]
        surge = application.spec.rollout.max_surge
        answer = demand(needs_of(status, surge), capacities)
        # What autoscaling cannot have for want of room is less than it would like, and no fault of the resource.
        unplaced = demand(needs_of(status, surge, required=True), capacities).unplaced if answer.unplaced else ()
        return dict(answer.pods), replace(answer, unplaced=tuple(it for it in answer.unplaced if it in unplaced))
    # Nothing is known yet, or the controller is away: keep what there is, and one pod somewhere to build on.
    floor = {it.name: min(max(it.min_replicas, _present(it, sets, observed)), it.max_replicas) for it in groups}
    if not any(floor.values()):
        floor[groups[0].name] = 1
    return floor, Demand({})


def _room(
    group: WorkerGroup,
    target: wire.GroupTarget,
    wanted: int,
    existing: Child | None,
    observed: Observed,
    fresh: Mapping[str, int] | None,
    clusters: Clusters,
    nodes: Mapping[str, wire.NodeStatus] | None,
    *,
    may_build: bool,
) -> int:
    """Return how many pods of its template a group may have while there are others of an older one.

    Those of the older one that are empty go first: their places are what the next pods of the new one take.
    """
    older = [
        it
        for it in observed.of_component(Component.WORKER)
        if it.incarnation == clusters.newest
        and it.group == group.name
        and it.template != target.template
        and it.phase not in ("Succeeded", "Failed")
    ]
    empty = sum(it.is_active and not nodes[it.name].replicas for it in older if nodes and it.name in nodes)
    return room(
        wanted,
        existing.replicas if existing else 0,
        None if fresh is None else max(0, fresh[group.name] - empty),
        is_rolling=bool(older),
        may_build=may_build,
    )


def _fresh(
    application: ServeApplication, observed: Observed, clusters: Clusters, revision: str
) -> tuple[Mapping[str, int] | None, bool]:
    """Return the pods that the replicas need which may be on new templates by now, and whether one may be built on."""
    surge = application.spec.rollout.max_surge
    view = observed.controller(clusters.newest)
    status = view.application(application.metadata.name) if view.is_reachable else None
    if status is None:
        return None, surge > 0
    may_build = surge > 0 or any(it.total < it.desired for it in status.deployments) or not status.deployments
    if status.revision != revision or status.build.state is not wire.BuildState.BUILT:
        return None, may_build
    capacities = [Capacity.of(it) for it in application.spec.workers]
    unlimited = [replace(it, minimum=0) for it in capacities]
    return demand(fresh_needs(status, surge), unlimited).pods, may_build


def _present(group: WorkerGroup, sets: Mapping[Ref, Child], observed: Observed) -> int:
    return max((it.replicas for it in sets.values() if it.group == group.name), default=0)


def _step(
    replica_set: Child, wanted: int, observed: Observed, nodes: Mapping[str, wire.NodeStatus] | None
) -> scale.Step:
    pods = [
        it
        for it in observed.of_component(Component.WORKER)
        if it.group == replica_set.group and it.template == replica_set.template
    ]
    active = sum(pod.is_active for pod in pods)
    is_settled = replica_set.counted in (None, active)
    return scale.step(replica_set.replicas, wanted, pods, nodes, is_settled=is_settled)


def _ending(observed: Observed, clusters: Clusters) -> set[str]:
    """Return the pods that are being deleted: until Ray has noticed, a controller might start a replica there."""
    workers = observed.of_component(Component.WORKER)
    return {it.name for it in workers if it.incarnation == clusters.newest and it.deleting_since is not None}


def _active(replica_set: Child, observed: Observed) -> bool:
    return any(
        it.is_active and it.template == replica_set.template and it.group == replica_set.group
        for it in observed.of_component(Component.WORKER)
    )


def _count(
    group: WorkerGroup, target: wire.GroupTarget, observed: Observed, wanted: int, needed: Mapping[str, int]
) -> GroupCount:
    ready = sum(
        it.is_ready and it.is_active
        for it in observed.of_component(Component.WORKER)
        if it.group == group.name and it.template == target.template
    )
    return GroupCount(group.name, ready, wanted, needed.get(group.name, wanted))
