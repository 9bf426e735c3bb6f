"""Scale: which worker pods of one ReplicaSet to drain, and how far the ReplicaSet may shrink by now.

Pure. A ReplicaSet chooses itself which pods it deletes; all that can be done is to make the drained ones come first in
its order, and to shrink only as far as they do. Its order (measured, and in Kubernetes' controller_utils.go): not yet
on a node, Pending, not ready, lowest deletion cost, …

    too many → drain some (the controller moves their replicas) → empty → deletion cost → replicas of the set go down
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remora_api import wire
from remora_operator.observed import Pod

DRAINED_COST = -1000


@dataclass(frozen=True, slots=True)
class Step:
    """What to do about one ReplicaSet now."""

    replicas: int
    drain: tuple[str, ...] = ()
    """Pods that the controller has to empty."""
    costs: tuple[tuple[str, int], ...] = ()
    """Deletion costs to write, by pod."""


def step(
    current: int,
    wanted: int,
    pods: Sequence[Pod],
    nodes: Mapping[str, wire.NodeStatus] | None,
    *,
    is_settled: bool = True,
) -> Step:
    """Return the next step from `current` to `wanted` replicas.

    `nodes` is what the controller says of each pod; None when it does not answer, and then nothing shrinks. Nor does
    anything unless `is_settled`: the ReplicaSet counts as many pods as are known here, so that none is overlooked.
    """
    if nodes is None:
        return Step(replicas=max(wanted, current))
    # Counted from the pods that are there, not from the set's number: a pod that an earlier step gave up may still be
    # there, with the mark that makes it go first, and the number is lower already.
    active = [pod for pod in pods if pod.is_active]
    excess = max(0, len(active) - wanted)
    leaving = sorted(active, key=lambda pod: _least_missed(pod, nodes))[:excess]
    empty = frozenset(pod.name for pod in leaving if _is_empty(pod, nodes))
    deleted = _leading(sorted(active, key=deletion_rank), empty, excess)
    # Pods that never came are nobody's loss.
    lowest = max(wanted, len(active) - deleted) if is_settled else current
    return Step(
        replicas=max(wanted, min(current, lowest)),
        drain=tuple(sorted(pod.name for pod in leaving)),
        costs=_costs(active, empty),
    )


def deletion_rank(pod: Pod) -> tuple[bool, int, bool, int]:
    """Return where a pod stands in the order in which a ReplicaSet deletes: the lowest goes first."""
    return (bool(pod.node), {"Pending": 0, "Unknown": 1}.get(pod.phase, 2), pod.is_ready, pod.deletion_cost)


def _least_missed(pod: Pod, nodes: Mapping[str, wire.NodeStatus]) -> tuple[bool, int, bool, int, float, str]:
    """Order pods by how little is lost with them; stable, so that a drain that has begun goes on."""
    node = nodes.get(pod.name)
    return (
        node is not None or pod.is_ready,
        pod.deletion_cost,
        not (node is not None and node.draining),
        node.replicas if node is not None else 0,
        -pod.created.timestamp(),
        pod.name,
    )


def _is_empty(pod: Pod, nodes: Mapping[str, wire.NodeStatus]) -> bool:
    """Nothing runs there and nothing will: drained, or never joined."""
    node = nodes.get(pod.name)
    return (node.draining and node.replicas == 0) if node is not None else not pod.is_ready


def _leading(order: Sequence[Pod], empty: frozenset[str], excess: int) -> int:
    """Return how many of the pods that would be deleted first are all empty, and known to the set as such."""
    count = 0
    for pod in order[:excess]:
        if pod.name not in empty or (pod.is_ready and pod.deletion_cost >= 0):
            break
        count += 1
    return count


def _costs(active: Sequence[Pod], empty: frozenset[str]) -> tuple[tuple[str, int], ...]:
    """Return the costs that differ from what the pods have: low for the empty ones, none for those that stay."""
    wanted = {pod.name: (DRAINED_COST if pod.name in empty else 0) for pod in active}
    return tuple((pod.name, wanted[pod.name]) for pod in active if pod.deletion_cost != wanted[pod.name])
