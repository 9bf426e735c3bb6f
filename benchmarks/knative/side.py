"""A side in a namespace of its own: what rows ask of Remora, with the head kept at zero or not, and of Knative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from benchmarks.knative import images, manifests, system
from benchmarks.knative.manifests import NAME, Manifest, Wanted
from benchmarks.knative.timeline import Pod
from benchmarks.peers import resources
from demo.story import SYSTEM
from tests.cluster import Cluster
from tests.e2e.stage import Stage

Objects = list[Pod]


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
    def comes(self) -> tuple[str, ...]:
        """Components of the pods that go at zero and come with a request; requests are served by the last."""

    @property
    def system(self) -> str:
        """Namespace of what serves all applications."""

    @property
    def holder(self) -> tuple[str, str]:
        """Namespace and name of the Deployment whose pods hold requests at zero."""

    def manifests(self, wanted: Wanted) -> list[Manifest]: ...
    def component(self, pod: Pod) -> str: ...
    def is_current(self) -> bool:
        """Whether its operator says that what was applied last is there."""

    def target(self) -> tuple[str, Mapping[str, str]]:
        """Return the URL of the application, by address, and the headers that take the place of an ingress."""

    def inside(self) -> str:
        """Return its URL for a pod."""

    def woken(self, asked: float) -> dict[str, float]:
        """Return steps that its pods do not tell of, in seconds from the request."""


def apply(side: Side, wanted: Wanted) -> None:
    """Apply what is wanted, as a user does."""
    side.stage.apply(*side.manifests(wanted))
    side.wanted = wanted


def pods(side: Side) -> Objects:
    """Return its pods, those that end included."""
    return _pods(side.stage.cluster, side.stage.namespace, side.pods_by)


def system_pods(side: Side) -> Objects:
    """Return the pods of what serves all applications."""
    return _pods(side.stage.cluster, side.system, "")


def is_at_zero(side: Side) -> bool:
    """Whether the pods that serve have been told to go; they end in their own time."""
    return not any(side.component(it) in side.comes and "deletionTimestamp" not in it["metadata"] for it in pods(side))


def has_gone(side: Side) -> bool:
    """Whether the pods that serve have gone."""
    return not any(side.component(it) in side.comes for it in pods(side))


def _pods(cluster: Cluster, namespace: str, selector: str) -> Objects:
    found = cluster.read(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)
    return list(found["items"]) if found else []


@dataclass(slots=True)
class Remora:
    """A ServeApplication with `scaleToZero`."""

    stage: Stage
    head: str
    """What becomes of Ray's head pod, `Keep` or `Zero`."""
    wanted: Wanted = field(default_factory=Wanted)
    pods_by: str = f"remora.dev/application={NAME}"
    system: str = SYSTEM

    @property
    def name(self) -> str:
        return "Remora" if self.head == "Keep" else "Remora, `head: Zero`"

    @property
    def comes(self) -> tuple[str, ...]:
        return ("worker",) if self.head == "Keep" else ("head", "worker")

    @property
    def holder(self) -> tuple[str, str]:
        return self.stage.namespace, f"{NAME}-proxy"

    def manifests(self, wanted: Wanted) -> list[Manifest]:
        return manifests.remora(wanted, images.PROGRAM.read_text(), self.head)

    def component(self, pod: Pod) -> str:
        return str(pod["metadata"]["labels"].get("remora.dev/component", ""))

    def is_current(self) -> bool:
        return self.stage.is_current(NAME)

    def target(self) -> tuple[str, Mapping[str, str]]:
        return f"http://{self.stage.address(NAME)}/", {}

    def inside(self) -> str:
        return f"http://{NAME}.{self.stage.namespace}.svc:80/"

    def woken(self, asked: float) -> dict[str, float]:
        heads = [it for it in pods(self) if self.component(it) == "head"]
        words = ("logs", heads[0]["metadata"]["name"], "-c", "controller", "--timestamps") if heads else ()
        log = self.stage.kubectl(*words).splitlines() if words else []
        started = [at for it in log if "starting on" in it and (at := moment(it.split()[0])) >= asked]
        steps = {"replica wanted of Ray": started[0]} if started else {}
        for command, at in resources.starts(it for it in pods(self) if self.component(it) == "worker"):
            step = process(command)
            if step:
                steps[step] = min(at, steps.get(step, at))
        return {step: round(at - asked, 2) for step, at in steps.items()}


@dataclass(slots=True)
class Knative:
    """A Configuration, and the Revision that is made of it."""

    stage: Stage
    wanted: Wanted = field(default_factory=Wanted)
    name: str = "Knative"
    pods_by: str = f"serving.knative.dev/configuration={NAME}"
    comes: tuple[str, ...] = ("pod",)
    system: str = system.SYSTEM

    @property
    def holder(self) -> tuple[str, str]:
        return system.SYSTEM, "activator"

    def manifests(self, wanted: Wanted) -> list[Manifest]:
        return manifests.knative(wanted)

    def component(self, pod: Pod) -> str:
        return "pod"

    @property
    def _configuration(self) -> dict[str, Any]:
        path = f"/apis/serving.knative.dev/v1/namespaces/{self.stage.namespace}/configurations/{NAME}"
        return self.stage.cluster.read(path) or {}

    def is_current(self) -> bool:
        found = self._configuration
        status = found.get("status", {})
        created = status.get("latestCreatedRevisionName")
        is_seen = status.get("observedGeneration") == found.get("metadata", {}).get("generation")
        return bool(is_seen and created and created == status.get("latestReadyRevisionName"))

    def _revision(self) -> str:
        return str(self._configuration["status"]["latestReadyRevisionName"])

    def target(self) -> tuple[str, Mapping[str, str]]:
        revision, namespace = self._revision(), self.stage.namespace
        found = self.stage.cluster.read(f"/api/v1/namespaces/{namespace}/services/{revision}")
        assert found is not None, f"the revision {revision} has a Service"
        headers = {"Knative-Serving-Namespace": namespace, "Knative-Serving-Revision": revision}
        return f"http://{found['spec']['clusterIP']}:80/", headers

    def inside(self) -> str:
        # By this name its activator knows the revision, too.
        return f"http://{self._revision()}.{self.stage.namespace}.svc.cluster.local:80/"

    def woken(self, asked: float) -> dict[str, float]:
        return {}


def process(command: str) -> str:
    """Return the step that a process of a worker pod is, by its command; empty for one that is none. Pure."""
    program = command.partition(" ")[0].rpartition("/")[2]
    if program == "raylet":
        return "raylet's process"
    if "remora.lean_ray start" in command:
        return "`ray start`'s process"
    return "replica's process" if program.startswith("ray::") and program != "ray::IDLE" else ""


def moment(text: str) -> float:
    """Return the time of a line of `kubectl logs --timestamps`, in seconds since 1970. Pure."""
    # Kubernetes writes nanoseconds where Python reads microseconds.
    head, _, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{rest[:6]:0<6}+00:00").timestamp()
