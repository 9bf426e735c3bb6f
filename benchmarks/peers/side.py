"""A side in a namespace of its own: the verbs that rows are written in, for Remora and for KubeRay."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.peers import images, kuberay, manifests
from benchmarks.peers.manifests import NAME, Manifest, Wanted
from benchmarks.sides import ROOT
from demo.story import SYSTEM
from tests.e2e.stage import Stage

Pod = dict[str, Any]
CRD = ROOT / "charts" / "remora" / "templates" / "crd.yaml"


class Side(Protocol):
    """What rows ask of a side."""

    stage: Stage
    wanted: Wanted

    @property
    def name(self) -> str: ...
    @property
    def pods_by(self) -> str:
        """Label selector of the pods of the application."""

    @property
    def system(self) -> str:
        """Namespace of the operator."""

    @property
    def crd_bytes(self) -> tuple[int, int]:
        """Size of the resource's definition, and of all definitions that come with it, as they are shipped."""

    @property
    def service(self) -> tuple[str, int]:
        """Name and port of the Service that clients use."""

    def manifests(self, wanted: Wanted) -> list[Manifest]: ...
    def component(self, pod: Pod) -> str:
        """Return `head`, `worker`, or what else the pod is."""

    def is_settled(self) -> bool:
        """Whether its operator says so, and just the wanted pods are there."""

    def has_refused(self) -> bool:
        """Whether its status says that what was applied last cannot be served."""

    def said(self) -> str:
        """What a user reads with kubectl."""


def apply(side: Side, wanted: Wanted) -> None:
    """Apply what is wanted, as a user does."""
    side.stage.apply(*side.manifests(wanted))
    side.wanted = wanted


def url(side: Side) -> str | None:
    """Return where the Service is, None before there is one."""
    name, port = side.service
    found = side.stage.cluster.read(f"/api/v1/namespaces/{side.stage.namespace}/services/{name}")
    return f"http://{found['spec']['clusterIP']}:{port}" if found else None


def pods(side: Side, component: str = "") -> list[Pod]:
    """Return its pods, those that end included; of one component, or of all."""
    found = side.stage.cluster.read(f"/api/v1/namespaces/{side.stage.namespace}/pods", labelSelector=side.pods_by)
    items: list[Pod] = found["items"] if found else []
    return [it for it in items if not component or side.component(it) == component]


def operators(side: Side) -> list[Pod]:
    """Return the pods of its operator."""
    found = side.stage.cluster.read(f"/api/v1/namespaces/{side.system}/pods")
    return list(found["items"]) if found else []


def is_whole(side: Side, heads: int, workers: range) -> bool:
    """Whether so many pods are there, all of them ready, and none of the past."""
    found = pods(side)
    kinds = [side.component(it) for it in found]
    return kinds.count("head") == heads and kinds.count("worker") in workers and all(_is_ready(it) for it in found)


def _is_ready(pod: Pod) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    is_ready = any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)
    return is_ready and "deletionTimestamp" not in pod["metadata"]


@dataclass(slots=True)
class Remora:
    """A ServeApplication."""

    stage: Stage
    wanted: Wanted = field(default_factory=Wanted)
    name: str = "Remora"
    pods_by: str = f"remora.dev/application={NAME}"
    system: str = SYSTEM

    @property
    def crd_bytes(self) -> tuple[int, int]:
        size = CRD.stat().st_size
        return size, size

    @property
    def service(self) -> tuple[str, int]:
        return NAME, 80

    def manifests(self, wanted: Wanted) -> list[Manifest]:
        return manifests.remora(wanted, images.PROGRAM.read_text())

    def component(self, pod: Pod) -> str:
        return str(pod["metadata"]["labels"].get("remora.dev/component", ""))

    def is_settled(self) -> bool:
        ready = self.stage.get("sapp", NAME).get("status", {}).get("ready")
        wanted = self.wanted.replicas
        return self.stage.is_current(NAME) and ready == f"{wanted}/{wanted}" and is_whole(self, 1, range(2, 5))

    def has_refused(self) -> bool:
        ready = self.stage.condition(NAME, "Ready")
        generation = self.stage.get("sapp", NAME)["metadata"]["generation"]
        return ready.get("reason") == "RolledBack" and ready.get("observedGeneration") == generation

    def said(self) -> str:
        listed = self.stage.kubectl("get", "sapp", NAME)
        ready = self.stage.condition(NAME, "Ready")
        return f"{listed}Ready={ready.get('status')} {ready.get('reason')}: {ready.get('message')}"


@dataclass(slots=True)
class KubeRay:
    """A RayService."""

    stage: Stage
    wanted: Wanted = field(default_factory=Wanted)
    name: str = "KubeRay"
    pods_by: str = "ray.io/node-type in (head,worker)"
    system: str = kuberay.SYSTEM

    @property
    def crd_bytes(self) -> tuple[int, int]:
        sizes = {it.name: it.stat().st_size for it in kuberay.definitions().glob("*.yaml")}
        return sizes["ray.io_rayservices.yaml"], sum(sizes.values())

    @property
    def service(self) -> tuple[str, int]:
        return f"{NAME}-serve-svc", 8000

    def manifests(self, wanted: Wanted) -> list[Manifest]:
        return manifests.kuberay(wanted)

    def component(self, pod: Pod) -> str:
        return str(pod["metadata"]["labels"].get("ray.io/node-type", ""))

    @property
    def status(self) -> dict[str, Any]:
        path = f"/apis/ray.io/v1/namespaces/{self.stage.namespace}/rayservices/{NAME}"
        return dict((self.stage.cluster.read(path) or {}).get("status", {}))

    def is_settled(self) -> bool:
        status = self.status
        if status.get("pendingServiceStatus", {}).get("rayClusterName"):
            return False
        is_ready = any(it["type"] == "Ready" and it["status"] == "True" for it in status.get("conditions", []))
        is_healthy = [it.get("status") for it in _applications(status)] == ["RUNNING"]
        return is_ready and is_healthy and is_whole(self, 1, range(2, 3))

    def has_refused(self) -> bool:
        return any(it.get("status") == "DEPLOY_FAILED" for it in _applications(self.status))

    def said(self) -> str:
        listed = self.stage.kubectl("get", "rayservice", NAME)
        status = self.status
        ready: Pod = next((it for it in status.get("conditions", []) if it["type"] == "Ready"), {})
        said = json.dumps(status.get("activeServiceStatus", {}).get("applicationStatuses", {}))
        return (
            f"{listed}Ready={ready.get('status')} {ready.get('reason')}: {ready.get('message')}\n"
            f"status.activeServiceStatus.applicationStatuses: {said}"
        )


def _applications(status: dict[str, Any]) -> list[dict[str, Any]]:
    return list(status.get("activeServiceStatus", {}).get("applicationStatuses", {}).values())
