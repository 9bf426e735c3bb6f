"""Programs of tests that run in pods of their own, in the runtime's image: it is on the nodes, and has a Python."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.stage import Stage


def program(
    stage: Stage, name: str, command: Sequence[str], *, port: int, volumes: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a pod that runs a command, ready when it listens; `volumes` are sources by where they are mounted."""
    mounts = [(f"volume-{index}", path, source) for index, (path, source) in enumerate(volumes.items())]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": name,
                    "image": image(stage),
                    "command": [*command],
                    "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": volume, "mountPath": path} for volume, path, _ in mounts],
                }
            ],
            "volumes": [{"name": volume, **source} for volume, _, source in mounts],
        },
    }


def service(name: str, port: int, target: int) -> dict[str, Any]:
    """Return the Service that leads to a program."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}]},
    }


def code(name: str, text: str) -> dict[str, Any]:
    """Return a ConfigMap that holds a program as `serve.py`."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"serve.py": text}}


def image(stage: Stage) -> str:
    """Return the image that the installed operator runs applications with."""
    operators = json.loads(
        stage.cluster.kubectl("get", "pods", "-A", "-l", "app.kubernetes.io/name=remora", "-o", "json")
    )
    environment = operators["items"][0]["spec"]["containers"][0]["env"]
    return str(next(it["value"] for it in environment if "RUNTIME_IMAGE" in it["name"]))
