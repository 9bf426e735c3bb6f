"""ConsistentHashRouter: a session stays on its replica, and few sessions move when replicas come and go.

A ring of points, some for each replica (Karger et al., "Consistent Hashing and Random Trees", STOC 1997): a session
goes to the replica of the first point after its own.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from typing import Any, Final

from remora.handle.identity import ReplicaID
from remora.routing.replica import RunningReplica
from remora.routing.request import PendingRequest
from remora.routing.request_router import RequestRouter

VIRTUAL_NODES: Final = 100
FALLBACK_REPLICAS: Final = 2


class ConsistentHashRouter(RequestRouter):
    """Routes by the session id, or where there is none by chance; to the next replicas of the ring when one is full."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._points: list[tuple[int, ReplicaID]] = []
        self._virtual_nodes = VIRTUAL_NODES
        self._fallback_replicas = FALLBACK_REPLICAS

    def initialize_state(
        self, num_virtual_nodes: int = VIRTUAL_NODES, num_fallback_replicas: int = FALLBACK_REPLICAS, **_: Any
    ) -> None:
        """Take the points that each replica has, and how many replicas are tried after the session's own."""
        if num_virtual_nodes < 1 or num_fallback_replicas < 0:
            raise ValueError("num_virtual_nodes must be at least 1, and num_fallback_replicas at least 0")
        self._virtual_nodes, self._fallback_replicas = num_virtual_nodes, num_fallback_replicas

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Make the ring anew; every process makes the same."""
        super().update_replicas(replicas)
        self._points = sorted(
            (
                (_place(f"{id_.unique_id}/{number}"), id_)
                for id_ in self._replicas
                for number in range(self._virtual_nodes)
            ),
            key=lambda point: (point[0], point[1].unique_id),
        )

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Return the session's replica, then those after it."""
        known = {replica.replica_id: replica for replica in candidate_replicas}
        if pending_request is None or not self._points:
            return [candidate_replicas] if candidate_replicas else []
        about = pending_request.metadata
        start = bisect_right(self._points, _place(about.session_id or about.internal_request_id), key=lambda it: it[0])
        ranks: dict[ReplicaID, list[RunningReplica]] = {}
        for offset in range(len(self._points)):
            _, id_ = self._points[(start + offset) % len(self._points)]
            if id_ in known and id_ not in ranks:
                ranks[id_] = [known[id_]]
                if len(ranks) > self._fallback_replicas:
                    break
        return list(ranks.values())


def _place(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest())
