"""Ranks of replicas: small numbers that are unique within a deployment, as distributed programs want them. Pure.

A replica keeps its rank for life; a new one gets the smallest that is free, so that without rollouts under way the
ranks of n replicas are 0 to n - 1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from remora.controller.state import NodeId, Replica
from remora.types import ReplicaRank


def free(members: Collection[Replica], node: NodeId) -> ReplicaRank:
    """Return the rank of a new replica on a node, beside the other replicas of its deployment."""
    staying = [replica for replica in members if not replica.is_leaving]
    here = [replica for replica in staying if replica.node == node]
    node_rank = here[0].rank.node_rank if here else _smallest(r.rank.node_rank for r in staying)
    return ReplicaRank(_smallest(r.rank.rank for r in staying), node_rank, _smallest(r.rank.local_rank for r in here))


def _smallest(taken: Iterable[int]) -> int:
    numbers = set(taken)
    return next(number for number in range(len(numbers) + 1) if number not in numbers)
