"""Ranks: the smallest free numbers, for replicas, nodes, and replicas of a node."""

from __future__ import annotations

from dataclasses import replace

from remora.controller import ranks
from remora.controller.lifecycle import Phase
from remora.controller.state import NodeId, Replica
from remora.types import ReplicaId, ReplicaRank
from remora_api.wire import Resources


def grown(nodes: str) -> list[Replica]:
    """Return replicas started one after the other, each on the node that its letter names."""
    members: list[Replica] = []
    for index, node in enumerate(nodes):
        members.append(
            Replica(
                id=ReplicaId(f"a#D#{index}"),
                application="a",
                deployment="D",
                revision="r",
                version="v",
                settings="s",
                resources=Resources(),
                node=NodeId(node),
                phase=Phase.RUNNING,
                started_at=index,
                since=index,
                rank=ranks.free(members, NodeId(node)),
            )
        )
    return members


def test_ranks_count_replicas_nodes_and_those_of_a_node() -> None:
    found = [replica.rank for replica in grown("xyxx")]
    assert found == [ReplicaRank(0, 0, 0), ReplicaRank(1, 1, 0), ReplicaRank(2, 0, 1), ReplicaRank(3, 0, 2)]


def test_a_rank_that_was_left_is_given_again() -> None:
    members = grown("xyx")
    members[0] = replace(members[0], phase=Phase.DRAINING)
    assert ranks.free(members, NodeId("x")) == ReplicaRank(0, 0, 0)
    del members[1]
    assert ranks.free(members, NodeId("z")) == ReplicaRank(0, 1, 0)
