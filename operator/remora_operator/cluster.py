"""The port to Kubernetes: what the operator needs of an API server, and nothing more.

Implemented by `kubernetes_api` on the official client, and by a fake in the tests that is held to the same contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from remora_operator.kinds import Kind, Manifest


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects, and the version of the collection that they were read at."""

    items: Sequence[Manifest]
    version: int


class Cluster(Protocol):
    """An API server. Every call has a deadline of its own and raises Transient or Permanent."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return an object; None when there is none."""
        ...

    async def list(self, kind: Kind, namespace: str = "", *, selector: str = "", fields: str = "") -> Listing:
        """Return all objects of a kind, in one namespace or in all: with these labels, and these values of fields."""
        ...

    async def apply(self, kind: Kind, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """Apply on the server, as the operator's field manager, taking over fields that others wrote."""
        ...

    async def create(self, kind: Kind, manifest: Manifest) -> bool:
        """Create; False when an object of this name exists."""
        ...

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Manifest) -> Manifest | None:
        """Merge a patch into an object; None when there is none."""
        ...

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest | None:
        """Replace an object unless it changed since it was read; None when it did, or is gone."""
        ...

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """Delete the object with this uid and, in the background, what it owns; nothing happens if it is gone."""
        ...
