"""The gang that a replica belongs to, as its code sees it: `serve.get_replica_context().gang_context`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class GangContext:
    """Replicas that came together and go together. Names are Ray Serve's."""

    gang_id: str
    rank: int
    """Of this replica in its gang: from 0."""
    world_size: int
    """Replicas of the gang."""
    member_replica_ids: list[str]
    """Their unique ids, by rank."""
    pg_name: str = ""
    """Empty: each replica has a placement group of its own, or none."""
