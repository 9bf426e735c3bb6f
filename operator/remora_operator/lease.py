"""The Lease in the API server: the port that `leader` asks for."""

from __future__ import annotations

from dataclasses import dataclass

from remora_operator.cluster import Cluster
from remora_operator.errors import Permanent, Transient
from remora_operator.kinds import LEASE, Manifest
from remora_operator.leader import Lease, LeaseConflict, LeaseUnreachable


@dataclass(frozen=True, slots=True)
class LeaseApi:
    """One Lease object; see `leader.LeasePort`."""

    cluster: Cluster
    namespace: str
    name: str

    async def read(self) -> Lease | None:
        """Return what the Lease says; None when there is none."""
        try:
            found = await self.cluster.get(LEASE, self.namespace, self.name)
        except (Transient, Permanent) as error:
            raise LeaseUnreachable(str(error)) from error
        return _lease(found) if found is not None else None

    async def create(self, lease: Lease) -> Lease:
        """Make the Lease, and return it as it stands."""
        try:
            created = await self.cluster.create(LEASE, self._manifest(lease))
        except (Transient, Permanent) as error:
            raise LeaseUnreachable(str(error)) from error
        made = await self.read() if created else None
        if made is None:
            raise LeaseConflict(f"Lease {self.namespace}/{self.name} was made by somebody else")
        return made

    async def replace(self, lease: Lease) -> Lease:
        """Write the Lease over the version that it names, and return it as it stands."""
        try:
            replaced = await self.cluster.replace(LEASE, self._manifest(lease))
        except (Transient, Permanent) as error:
            raise LeaseUnreachable(str(error)) from error
        if replaced is None:
            raise LeaseConflict(f"Lease {self.namespace}/{self.name} was written by somebody else")
        return _lease(replaced)

    def _manifest(self, lease: Lease) -> Manifest:
        metadata = {"name": self.name, "namespace": self.namespace}
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": metadata | ({"resourceVersion": lease.version} if lease.version else {}),
            "spec": {
                "holderIdentity": lease.holder,
                "leaseDurationSeconds": lease.duration_s,
                "renewTime": lease.renewed,
                "leaseTransitions": lease.transitions,
            },
        }


def _lease(manifest: Manifest) -> Lease:
    spec = manifest.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        renewed=spec.get("renewTime") or "",
        duration_s=int(spec.get("leaseDurationSeconds") or 0),
        transitions=int(spec.get("leaseTransitions") or 0),
        version=manifest["metadata"].get("resourceVersion", ""),
    )
