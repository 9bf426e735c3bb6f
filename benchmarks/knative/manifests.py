"""The application that both sides serve, as each of them wants it said. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.knative import images

Manifest = dict[str, Any]
NAME = "zero"
IDLE_S = 6
"""Without a request until an application goes: the smallest stable window that Knative takes."""
GRACE_S = 6
"""Knative's `scale-to-zero-grace-period`: for so long its activator has been in the path before the last pod goes."""
CPU = "300m"
"""What a pod that serves requests."""
ONGOING = 100
PORT = 8080


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user wants to be served: the same words for all sides."""

    constructor_s: float = 0.0
    direct: bool = False
    """Knative's `target-burst-capacity` is 0: its activator leaves the path where there is a pod."""


def remora(wanted: Wanted, source: str, head: str) -> list[Manifest]:
    """Return the ServeApplication; `head` is what becomes of Ray's head pod at zero, `Keep` or `Zero`."""
    spec = {
        "importPath": "zero:app",
        "code": {"inline": {"zero.py": source}},
        "env": _environment(wanted),
        "deployments": [
            {"name": "Zero", "maxOngoingRequests": ONGOING, "resources": {"cpu": "100m", "memory": "200Mi"}}
        ],
        "head": {"resources": {"cpu": "200m", "memory": "1Gi"}},
        "workers": [
            {"name": "default", "minReplicas": 0, "maxReplicas": 1, "resources": {"cpu": CPU, "memory": "1Gi"}}
        ],
        "proxy": {"replicas": 2, "resources": {"cpu": "100m", "memory": "256Mi"}},
        "scaleToZero": {"idleSeconds": IDLE_S, "head": head},
    }
    return [
        {"apiVersion": "remora.dev/v1alpha1", "kind": "ServeApplication", "metadata": {"name": NAME}, "spec": spec},
    ]


def knative(wanted: Wanted) -> list[Manifest]:
    """Return the Configuration; a Route would ask for an ingress."""
    annotations = {"autoscaling.knative.dev/max-scale": "1"}
    if wanted.direct:
        annotations["autoscaling.knative.dev/target-burst-capacity"] = "0"
    container = {
        "image": images.USER,
        "command": ["python", "-m", "uvicorn", "zero_plain:app", "--host", "0.0.0.0", "--port", str(PORT)],
        "ports": [{"containerPort": PORT}],
        "env": _environment(wanted),
        "resources": {"requests": {"cpu": CPU, "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": [container]}}
    return [
        {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Configuration",
            "metadata": {"name": NAME},
            "spec": {"template": template},
        },
    ]


def _environment(wanted: Wanted) -> list[Manifest]:
    return [{"name": "CONSTRUCTOR_S", "value": f"{wanted.constructor_s:g}"}]
