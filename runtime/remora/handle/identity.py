"""Names of deployments and replicas, as user code sees them. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeploymentID:
    """One deployment of one application."""

    name: str
    app_name: str = "default"

    def __str__(self) -> str:
        return f"{self.app_name}#{self.name}" if self.app_name else self.name


@dataclass(frozen=True, slots=True)
class ReplicaID:
    """One replica."""

    unique_id: str
    """Unique among all replicas, now and later."""
    deployment_id: DeploymentID

    @classmethod
    def of(cls, replica: str, application: str, deployment: str) -> ReplicaID:
        """Return the id of a replica whose actor has this name."""
        return cls(replica, DeploymentID(deployment, application))

    def __str__(self) -> str:
        return self.unique_id
