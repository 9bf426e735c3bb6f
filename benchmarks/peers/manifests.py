"""What is wanted of a side, and the manifests that say so to each operator. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.peers import images

Manifest = dict[str, Any]
NAME = "peer"
RAY_VERSION = "2.60.0"
HIGH_THROUGHPUT = ("RAY_SERVE_ENABLE_HA_PROXY", "RAY_SERVE_THROUGHPUT_OPTIMIZED")
GRACE_S = 30
"""A replica may take that long to end: longer than the slow request."""
ONGOING = 100
TERMINATION_S = 45
"""Ray drains a node for up to 30 seconds at SIGTERM: a pod's default of 30 seconds would cut that off."""
HEAD = {"cpu": "200m", "memory": "3Gi"}
WORKER = {"cpu": "300m", "memory": "2Gi"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user wants to be served: the same words for both sides."""

    number: str = "1"
    """Version of the code, "1" to "5"."""
    image: str = "1"
    colour: str = "red"
    """An environment variable of the worker pods."""
    replicas: int = 2
    broken: bool = False
    """An import path that leads nowhere."""
    redis: bool = True
    """KubeRay's fault tolerance of Ray's head."""
    storage: str = ""
    """Remora's: the StorageClass of the volume that keeps the head's tables."""
    room: int = 1
    """Replicas that KubeRay lets a worker pod hold at most."""
    fast: bool = False
    """Ray Serve's high throughput mode."""

    @property
    def prefix(self) -> str:
        """What all answers begin with once all is as wanted."""
        return f"{self.number} {self.image} {self.colour} "


def remora(wanted: Wanted, source: str) -> list[Manifest]:
    """Return the ServeApplication; the program is in it, and room for two replicas in each pod."""
    head: Manifest = {"resources": HEAD}
    if wanted.storage:
        head["storage"] = {"size": "1Gi", "storageClassName": wanted.storage}
    spec = {
        "importPath": "peer:missing" if wanted.broken else "peer:app",
        "image": images.remora(wanted.image),
        "code": {"inline": {"peer.py": f"{source}\n\napp = app{wanted.number}\n"}},
        "env": [{"name": "COLOUR", "value": wanted.colour}],
        "deployments": [
            {
                "name": "Peer",
                "replicas": wanted.replicas,
                "maxOngoingRequests": ONGOING,
                "gracefulShutdownTimeoutSeconds": GRACE_S,
                "resources": {"cpu": "100m", "memory": "200Mi"},
            }
        ],
        "head": head,
        "workers": [{"name": "default", "minReplicas": 2, "maxReplicas": 4, "resources": WORKER}],
        "proxy": {"replicas": 2, "resources": {"cpu": "100m", "memory": "256Mi"}},
    }
    return [
        {"apiVersion": "remora.dev/v1alpha1", "kind": "ServeApplication", "metadata": {"name": NAME}, "spec": spec},
    ]


def kuberay(wanted: Wanted) -> list[Manifest]:
    """Return the RayService as KubeRay's sample for high availability has it, and Redis.

    That sample keeps at most one replica on a node, so that a pod that dies takes but one along. The number of worker
    pods stays: without Ray's autoscaler a RayService does not hand another one on. The head's proxy gets no requests.
    """
    path = "missing" if wanted.broken else f"app{wanted.number}"
    serve = f"""\
applications:
- name: peer
  import_path: peer:{path}
  route_prefix: /
  deployments:
  - name: Peer
    num_replicas: {wanted.replicas}
    max_replicas_per_node: {wanted.room}
    max_ongoing_requests: {ONGOING}
    graceful_shutdown_timeout_s: {GRACE_S}
    ray_actor_options:
      num_cpus: 0.1
"""
    environment = {"COLOUR": wanted.colour} | (dict.fromkeys(HIGH_THROUGHPUT, "1") if wanted.fast else {})
    ports = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "serve": 8000}
    # The object store would take 30 % of the memory, which the program has no use for.
    store = {"object-store-memory": "100000000"}
    cluster: Manifest = {
        "rayVersion": RAY_VERSION,
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0", **store},
            "template": _template("ray-head", wanted.image, HEAD, environment, ports),
        },
        "workerGroupSpecs": [
            {
                "groupName": "worker",
                "replicas": 2,
                "minReplicas": 1,
                "maxReplicas": 5,
                "rayStartParams": {"num-cpus": "1", **store},
                "template": _template("ray-worker", wanted.image, WORKER, environment, {"serve": 8000}),
            }
        ],
    }
    if wanted.redis:
        cluster["gcsFaultToleranceOptions"] = {"redisAddress": "redis:6379"}
    spec = {
        "serveConfigV2": serve,
        "excludeHeadPodFromServeSvc": True,
        "upgradeStrategy": {"type": "NewCluster"},
        "rayClusterConfig": cluster,
    }
    service = {"apiVersion": "ray.io/v1", "kind": "RayService", "metadata": {"name": NAME}, "spec": spec}
    return [*_redis(), service]


def _redis() -> list[Manifest]:
    command = ["redis-server", "--protected-mode", "no", "--save", "", "--dir", "/tmp"]
    pod = _template("redis", "1", {"cpu": "50m", "memory": "128Mi"}, {}, {"redis": 6379}, command=command)
    labels = {"app": "redis"}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "redis"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, **pod}},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "redis"},
            "spec": {"selector": labels, "ports": [{"port": 6379}]},
        },
    ]


def _template(
    name: str,
    tag: str,
    room: Mapping[str, str],
    environment: Mapping[str, str],
    ports: Mapping[str, int],
    **more: Any,
) -> Manifest:
    """Return a pod's template as Pod Security `restricted` wants it; memory is a limit, CPU is not, as at Remora."""
    container = {
        "name": name,
        "image": images.ray(tag),
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "ports": [{"name": key, "containerPort": port} for key, port in ports.items()],
        "resources": {"requests": {**room}, "limits": {"memory": room["memory"]}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        **more,
    }
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": security, "automountServiceAccountToken": False}
    return {"spec": spec | {"terminationGracePeriodSeconds": TERMINATION_S}}


def client(image: str) -> Manifest:
    """Return the pod in which wrk runs."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": spec}
