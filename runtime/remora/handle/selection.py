"""ReplicaSelection: a replica that `handle.choose_replica` found, with a place kept on it for one `handle.dispatch`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from remora.errors import MisuseError
from remora.handle.identity import DeploymentID
from remora.types import CallMetadata, Reservation


@dataclass(slots=True, eq=False)
class ReplicaSelection:
    """Which replica it is, and where."""

    replica_id: str
    node_ip: str
    port: int | None
    node_id: str
    availability_zone: str | None = None
    replica_metadata: dict[str, Any] = field(default_factory=dict)
    _deployment: DeploymentID = field(kw_only=True, repr=False)
    _metadata: CallMetadata = field(kw_only=True, repr=False)
    _place: Reservation = field(kw_only=True, repr=False)
    _dispatched: bool = field(default=False, init=False, repr=False)

    @classmethod
    def of(cls, place: Reservation, deployment: DeploymentID, metadata: CallMetadata) -> ReplicaSelection:
        """Return the selection of the replica on which a place is kept."""
        return cls(
            place.replica,
            place.host,
            place.port or None,
            place.node,
            _deployment=deployment,
            _metadata=metadata,
            _place=place,
        )

    @property
    def address(self) -> str:
        """``host:port`` of the replica."""
        return f"{self.node_ip}:{self.port}" if self.port else self.node_ip

    def to_dict(self) -> dict[str, Any]:
        """Return what names the replica, for logs and other processes."""
        public = ("replica_id", "node_ip", "port", "node_id", "availability_zone", "replica_metadata")
        return {name: getattr(self, name) for name in public}

    def taken(self) -> tuple[Reservation, CallMetadata]:
        """Return the place for the one call that it was kept for; MisuseError, a RuntimeError, the second time."""
        if self._dispatched:
            raise MisuseError(f"replica {self.replica_id} was chosen for one call, which has been sent: choose again")
        self._dispatched = True
        return self._place, self._metadata

    @property
    def is_open(self) -> bool:
        """Whether nothing was sent yet."""
        return not self._dispatched
