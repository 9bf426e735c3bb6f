"""What the benchmark applies: a pod for the client, and each side behind a Service of its own. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.goals import Side

Manifest = dict[str, Any]
PORT = 8000
CLIENT = "client"
NAMES: Mapping[Side, str] = {Side.BARE: "bare", Side.DEFAULT: "default", Side.BEST: "best", Side.REMORA: "remora"}
ROOM = {"requests": {"cpu": "100m", "memory": "256Mi"}}
CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}


def client(image: str) -> list[Manifest]:
    """Return the pod in which the load is made."""
    return [_pod(CLIENT, image, ["sleep", "infinity"], {})]


def side(side: Side, program: str, source: str, image: str) -> list[Manifest]:
    """Return one side that serves a program, whose source is given for Remora; its Service has the side's name."""
    if side is Side.REMORA:
        return [_application(program, source)]
    module = "bare" if side is Side.BARE else "ray_serve"
    switches = {"RAY_USAGE_STATS_ENABLED": "0"}
    if side is Side.BEST:
        switches |= {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
    command = ["python", "-m", f"benchmarks.in_cluster.{module}", program]
    return [_pod(NAMES[side], image, command, switches), _service(NAMES[side])]


def url(side: Side, namespace: str) -> str:
    """Return where the client finds a side."""
    # Said in full: wrk would look up the port of "http" in a file that the image does not have.
    port = 80 if side is Side.REMORA else PORT
    return f"http://{NAMES[side]}.{namespace}.svc:{port}/"


def _pod(name: str, image: str, command: list[str], env: Mapping[str, str]) -> Manifest:
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "resources": ROOM,
        "securityContext": CONTAINER,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "shm", "mountPath": "/dev/shm"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "containers": [container],
            "securityContext": POD,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
            ],
        },
    }


def _service(name: str) -> Manifest:
    ports = [{"name": "http", "port": PORT, "targetPort": PORT}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app.kubernetes.io/name": name}, "ports": ports},
    }


def _application(program: str, source: str) -> Manifest:
    return {
        "apiVersion": "remora.dev/v1alpha1",
        "kind": "ServeApplication",
        "metadata": {"name": NAMES[Side.REMORA]},
        "spec": {
            "importPath": f"{program}:app",
            "code": {"inline": {f"{program}.py": source}},
            "head": {"resources": {"cpu": "200m", "memory": "1Gi"}},
            "workers": [{"name": "default", "resources": {"cpu": "500m", "memory": "1Gi"}}],
        },
    }
