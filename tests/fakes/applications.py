"""ServeApplications and what surrounds them, for tests of the operator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from remora_api import wire
from remora_api.meta import Component
from remora_api.v1alpha1 import ServeApplication
from remora_operator.installation import Installation
from remora_operator.observed import Pod

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
INSTALLATION = Installation("remora.dev/runtime:1", b"m" * 64, "remora-system")


def manifest(name: str = "hello", *, generation: int = 1, status: Any = None, **spec: Any) -> dict[str, Any]:
    """Return a resource as the API server would."""
    return {
        "apiVersion": "remora.dev/v1alpha1",
        "kind": "ServeApplication",
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "generation": generation},
        "spec": {"importPath": "hello:app", **spec},
        **({"status": status} if status is not None else {}),
    }


def application(name: str = "hello", *, generation: int = 1, status: Any = None, **spec: Any) -> ServeApplication:
    """Return a resource, parsed."""
    return ServeApplication.from_manifest(manifest(name, generation=generation, status=status, **spec), strict=True)


def pod(name: str, component: Component = Component.WORKER, **changes: Any) -> Pod:
    """Return a ready pod."""
    values: dict[str, Any] = {
        "name": name,
        "component": component,
        "incarnation": 1,
        "group": "default",
        "template": "t1",
        "boot": f"{name}/0",
        "ip": "10.0.0.1",
        "node": "n1",
        "phase": "Running",
        "is_ready": True,
        "created": NOW - timedelta(hours=1),
        "ready_since": NOW - timedelta(hours=1),
        "deleting_since": None,
        "deletion_cost": 0,
        "started": frozenset({component.value}),
        "exits": (),
        "trouble": "",
    }
    return Pod(**values | changes)


def node(name: str, replicas: int = 0, *, draining: bool = False, template: str = "t1") -> wire.NodeStatus:
    """Return what a controller says of a worker pod."""
    return wire.NodeStatus(name=name, group="default", template=template, replicas=replicas, draining=draining)


def deployment(name: str, desired: int, *, ready: int | None = None, **changes: Any) -> wire.DeploymentStatus:
    """Return what a controller says of a deployment: all is well unless told."""
    ready = desired if ready is None else ready
    values: dict[str, Any] = {
        "name": name,
        "desired": desired,
        "ready": ready,
        "updated": ready,
        "total": ready,
        "version": "v1",
        "ingress": name == "Ingress",
    }
    return wire.DeploymentStatus(**values | changes)
