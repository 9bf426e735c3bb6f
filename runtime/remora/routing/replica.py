"""RunningReplica: one replica, as request routers see it."""

from __future__ import annotations

from typing import Any

from remora.handle.identity import ReplicaID
from remora.router.link import Link


class RunningReplica:
    """Shows what the process's connection to the replica knows."""

    __slots__ = ("link", "replica_id")

    def __init__(self, link: Link, replica_id: ReplicaID) -> None:
        self.link = link
        self.replica_id = replica_id

    def __repr__(self) -> str:
        return f"<RunningReplica {self.replica_id}>"

    @property
    def node_id(self) -> str:
        """Name of the node that it runs on."""
        return self.link.address.node

    @property
    def availability_zone(self) -> str | None:
        """Not known."""
        return None

    @property
    def multiplexed_model_ids(self) -> set[str]:
        """Models that it holds."""
        return set(self.link.models)

    @property
    def max_ongoing_requests(self) -> int:
        """Requests that it works on at a time."""
        return self.link.address.max_ongoing_requests

    @property
    def routing_stats(self) -> dict[str, Any]:
        """What its `record_routing_stats` returned last."""
        return dict(self.link.facts.get("stats") or {})

    @property
    def replica_metadata(self) -> dict[str, Any]:
        """What its `record_replica_metadata` returned when it started."""
        return dict(self.link.facts.get("metadata") or {})

    @property
    def queue_len(self) -> int:
        """Requests that are known to be on it."""
        return self.link.load

    async def get_queue_len(self, *, deadline_s: float = 0.0) -> int:
        """Return the requests that are known to be on it: every answer tells."""
        return self.link.load
