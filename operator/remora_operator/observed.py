"""What is: the values that one reconcile sees, gathered by `observe` and judged by `plan`.

Pure. Everything is read out of manifests once, here, so that nothing further down knows how Kubernetes writes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from remora_api import wire
from remora_api.meta import Annotation, Component, Label
from remora_operator.kinds import REPLICA_SET, STATEFUL_SET, Manifest, Ref, ref_of

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container of a pod ended."""

    container: str
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of the application."""

    name: str
    component: Component
    incarnation: int
    group: str
    template: str
    boot: str
    """Changes with every start of one of its containers."""
    ip: str
    node: str
    phase: str
    is_ready: bool
    created: datetime
    ready_since: datetime | None
    deleting_since: datetime | None
    """The end of its grace period, once it is being deleted."""
    deletion_cost: int
    started: frozenset[str]
    """Containers whose startup probe has succeeded."""
    exits: tuple[Exit, ...]
    trouble: str
    """Why it does not run, in Kubernetes' words; empty when nothing is wrong."""

    @property
    def uid(self) -> str:
        """Tells it from others that had its name."""
        return self.boot.rpartition("/")[0]

    @property
    def is_active(self) -> bool:
        """Neither finished nor being deleted: a pod that its ReplicaSet counts."""
        return self.deleting_since is None and self.phase not in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Child:
    """One object that the operator made."""

    ref: Ref
    manifest: Manifest
    made_from: str
    """The digest that it was applied with."""
    incarnation: int
    """0 when it belongs to no Ray cluster."""
    group: str
    template: str
    replicas: int
    counted: int | None
    """Pods that Kubernetes counts for it; None before it has counted."""
    trouble: str = ""
    """Why Kubernetes makes no pods for it, in its own words: a quota, an admission rule, a missing account."""

    @property
    def uid(self) -> str:
        """Tells it from others that had its name."""
        uid: str = self.manifest["metadata"].get("uid", "")
        return uid

    def annotation(self, key: str) -> str:
        """Return an annotation; empty when it is not there."""
        value: str = (self.manifest["metadata"].get("annotations") or {}).get(key, "")
        return value


@dataclass(frozen=True, slots=True)
class CodeMissing:
    """The ConfigMap of `spec.code` cannot be used."""

    message: str


@dataclass(frozen=True, slots=True)
class ControllerView:
    """What is known of one controller; its last words stay when it no longer answers."""

    is_reachable: bool = False
    status: wire.ControllerStatus | None = None
    error: str = ""

    @property
    def is_untried(self) -> bool:
        """This process has not heard of it yet, neither good nor bad."""
        return not self.is_reachable and self.status is None and not self.error

    def application(self, name: str) -> wire.ApplicationStatus | None:
        """Return what it says of an application."""
        applications = self.status.applications if self.status else ()
        return next((it for it in applications if it.application == name), None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server did not take what a revision is made of."""

    revision: str
    number: int
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a plan is made from, besides the resource itself and the time."""

    children: Mapping[Ref, Child] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    code: wire.CodeBundle | CodeMissing | None = None
    controllers: Mapping[int, ControllerView] = field(default_factory=dict)
    """By incarnation."""
    secrets: frozenset[str] = frozenset()
    """Names of Secrets that are known to exist."""
    routed: Mapping[str, int] = field(default_factory=dict)
    """Version of the routing that each proxy took, by the pod's boot."""
    activity: Mapping[str, wire.ProxyActivity] = field(default_factory=dict)
    """What each proxy that is listened to said last, by the pod's boot; only with `scaleToZero`."""
    figures: tuple[wire.ProxyFigures, ...] = ()
    """What each proxy has counted lately of two revisions."""
    refused: Refusal | None = None
    """What this operator was refused last."""

    def of_component(self, component: Component) -> tuple[Pod, ...]:
        """Return the pods of one component, oldest first."""
        return tuple(
            sorted((it for it in self.pods if it.component is component), key=lambda it: (it.created, it.name))
        )

    def heads(self) -> dict[int, Child]:
        """Return the StatefulSets of heads by incarnation."""
        return {it.incarnation: it for it in self.children.values() if it.ref.kind is STATEFUL_SET}

    def worker_sets(self) -> tuple[Child, ...]:
        """Return the ReplicaSets of workers. The proxies' belong to their Deployment and are none of our children."""
        return tuple(it for it in self.children.values() if it.ref.kind is REPLICA_SET)

    def head_pod(self, incarnation: int) -> Pod | None:
        """Return the newest head pod of a Ray cluster."""
        pods = [it for it in self.of_component(Component.HEAD) if it.incarnation == incarnation]
        return pods[-1] if pods else None

    def controller(self, incarnation: int) -> ControllerView:
        """Return what is known of a controller."""
        return self.controllers.get(incarnation, ControllerView())


def child_from(manifest: Manifest) -> Child:
    """Read a child's manifest."""
    metadata = manifest["metadata"]
    labels = metadata.get("labels") or {}
    return Child(
        ref=ref_of(manifest),
        manifest=manifest,
        made_from=(metadata.get("annotations") or {}).get(Annotation.SPEC_HASH, ""),
        incarnation=_number(labels.get(Label.INCARNATION)),
        group=labels.get(Label.GROUP, ""),
        template=labels.get(Label.POD_TEMPLATE_HASH, ""),
        replicas=(manifest.get("spec") or {}).get("replicas", 0) or 0,
        counted=(manifest.get("status") or {}).get("replicas"),
        trouble=_failure_to_create(manifest.get("status") or {}),
    )


def pod_from(manifest: Manifest) -> Pod | None:
    """Read a pod's manifest; None for a pod of no component of ours."""
    metadata, status = manifest["metadata"], manifest.get("status") or {}
    labels = metadata.get("labels") or {}
    if labels.get(Label.COMPONENT) not in set(Component):
        return None
    containers = list(status.get("containerStatuses") or [])
    ready: Manifest = next((it for it in status.get("conditions") or [] if it.get("type") == "Ready"), {})
    is_ready = ready.get("status") == "True"
    restarts = sum(it.get("restartCount", 0) for it in containers)
    return Pod(
        name=metadata["name"],
        component=Component(labels[Label.COMPONENT]),
        incarnation=_number(labels.get(Label.INCARNATION)),
        group=labels.get(Label.GROUP, ""),
        template=labels.get(Label.POD_TEMPLATE_HASH, ""),
        boot=f"{metadata.get('uid', '')}/{restarts}",
        ip=status.get("podIP", ""),
        node=(manifest.get("spec") or {}).get("nodeName", ""),
        phase=status.get("phase", "Pending"),
        is_ready=is_ready,
        created=_time(metadata["creationTimestamp"]),
        ready_since=_time(ready["lastTransitionTime"]) if is_ready and ready.get("lastTransitionTime") else None,
        deleting_since=_time(metadata["deletionTimestamp"]) if metadata.get("deletionTimestamp") else None,
        deletion_cost=_number((metadata.get("annotations") or {}).get(DELETION_COST)),
        started=frozenset(it["name"] for it in containers if it.get("started")),
        exits=tuple(_exits(containers)),
        trouble=_trouble(status, containers),
    )


def _failure_to_create(status: Mapping[str, Any]) -> str:
    for it in status.get("conditions") or []:
        if it.get("type") == "ReplicaFailure" and it.get("status") == "True":
            return f"{it.get('reason', 'FailedCreate')}: {it.get('message', '')}"[:500]
    return ""


def _exits(containers: list[Mapping[str, Any]]) -> list[Exit]:
    """Return the last end of every container, also of one that runs again."""
    ends = []
    for container in containers:
        for state in ("state", "lastState"):
            ended = (container.get(state) or {}).get("terminated")
            if ended:
                ends.append(Exit(container["name"], ended.get("exitCode", 0), (ended.get("message") or "").strip()))
    return ends


_QUIET = ("ContainerCreating", "PodInitializing")


def _trouble(status: Mapping[str, Any], containers: list[Mapping[str, Any]]) -> str:
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason', 'Unschedulable')}: {condition.get('message', '')}".strip(": ")
    for container in [*(status.get("initContainerStatuses") or []), *containers]:
        ended = _failure(container)
        waiting = (container.get("state") or {}).get("waiting") or {}
        if ended:
            # The same words while it waits and while it tries again: a crash loop is one state, not two in turn.
            said = last_line(ended.get("message") or "") or ended.get("reason", "")
            return f"container {container['name']} ended with exit code {ended['exitCode']}: {said}".strip(": ")
        if waiting.get("reason", "ContainerCreating") not in _QUIET:
            return f"container {container['name']}: {waiting['reason']}: {waiting.get('message', '')}".strip(": ")
    if status.get("phase") == "Failed":
        return f"{status.get('reason', 'Failed')}: {status.get('message', '')}".strip(": ")
    return ""


def _failure(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return how a container that is not ready ended last, if that was no success."""
    states = ((container.get(it) or {}).get("terminated") or {} for it in ("state", "lastState"))
    return next((it for it in states if it.get("exitCode") and not container.get("ready")), {})


def last_line(text: str) -> str:
    """Return the last line that says something, which in a traceback is the error; of a JSON log line its message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines else ""
    return _MESSAGE.sub(r"\1", line)[:500]


_MESSAGE = re.compile(r'^\{.*"message": "((?:[^"\\]|\\.)*)".*$')
"""A termination message keeps only the end of a log, so that a JSON line in it may be cut and cannot be parsed."""


def _number(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
