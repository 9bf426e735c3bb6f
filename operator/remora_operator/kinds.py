"""The kinds of objects that the operator reads and writes, and their paths in the Kubernetes API.

Pure. A new kind of child is added here, in `resources`, and in the chart's roles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from remora_api import meta

Manifest: TypeAlias = dict[str, Any]
"""An object as Kubernetes writes it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object."""

    api_version: str
    name: str
    plural: str

    @property
    def group(self) -> str:
        """API group; empty for the core."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of a collection, an object or a subresource; of all namespaces when none is given."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        parts = [root, *(["namespaces", namespace] if namespace else []), self.plural, name, subresource]
        return "/".join(part for part in parts if part)


SERVE_APPLICATION = Kind(meta.API_VERSION, meta.KIND, meta.PLURAL)
POD = Kind("v1", "Pod", "pods")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SECRET = Kind("v1", "Secret", "secrets")
SERVICE = Kind("v1", "Service", "services")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
REPLICA_SET = Kind("apps/v1", "ReplicaSet", "replicasets")
CONTROLLER_REVISION = Kind("apps/v1", "ControllerRevision", "controllerrevisions")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
EVENT = Kind("events.k8s.io/v1", "Event", "events")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")

CHILDREN = (
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    NETWORK_POLICY,
    SERVICE,
    STATEFUL_SET,
    REPLICA_SET,
    DEPLOYMENT,
    BUDGET,
)
"""What the operator makes, watches and prunes, in the order in which it is applied. Secrets it can only create."""

POD_BEARING = frozenset({STATEFUL_SET, REPLICA_SET, DEPLOYMENT})
"""Kinds with a pod template: changing a live one replaces pods."""

WATCHED = (SERVE_APPLICATION, POD, *CHILDREN)

_BY_NAME = {kind.name: kind for kind in (*WATCHED, SECRET, EVENT, LEASE)}


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """Return the kind of a manifest that the operator made."""
    return _BY_NAME[manifest["kind"]]


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One application: what the queue holds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Ref:
    """One child of an application, in the application's namespace."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.name} {self.name}"


def ref_of(manifest: Mapping[str, Any]) -> Ref:
    """Return which child a manifest is."""
    return Ref(kind_of(manifest), manifest["metadata"]["name"])
