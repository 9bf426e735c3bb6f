"""What is: `status` of a ServeApplication. One function of the operator computes it; nobody else writes it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from annotated_types import MaxLen

from remora_api.model import Bool, Int, ListMap, Model
from remora_api.v1alpha1.graph import GraphNodeStatus


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One aspect of the application's state, in the form that Kubernetes tools read."""

    type: Annotated[str, MaxLen(316)]
    """Ready, Reconciling, Stalled, Available, HeadReady or ProxyReady."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: Int = 0
    """Generation of the spec that this is about."""
    last_transition_time: datetime
    """When status last changed."""
    reason: Annotated[str, MaxLen(1024)]
    """One word for scripts and alerts, for instance BuildFailed."""
    message: Annotated[str, MaxLen(32768)] = ""
    """A sentence: the object it is about, what happened, and what to do next."""


class DeploymentStatus(Model):
    """One deployment's replicas."""

    name: str
    """The deployment's name."""
    ready: Int = 0
    """Replicas that answer requests, of any version."""
    desired: Int = 0
    """Replicas that there should be."""
    reason: str = ""
    """Where that number comes from: the resource, the code, or the latest decision of autoscaling."""
    autoscaled: Bool = False
    """Whether it follows the load."""
    last_scale_time: datetime | None = None
    """When the number changed last; only of deployments that are autoscaled."""
    version: str = ""
    """Version of code and settings that is wanted."""
    message: str = ""
    """Why it is not as desired: what it waits for, or the last line of a traceback."""


class WorkerGroupStatus(Model):
    """One worker group's pods."""

    name: str
    """The group's name."""
    ready: Int = 0
    """Pods that are ready."""
    desired: Int = 0
    """Pods that there should be, between minReplicas and maxReplicas."""
    demand: Int = 0
    """Pods that the replicas need; above desired when the group is at maxReplicas."""


class ProxyStatus(Model):
    """The proxy pods."""

    ready: Int = 0
    """Proxies that take requests."""
    desired: Int = 0
    """Proxies that there should be."""


class RayStatus(Model):
    """The Ray cluster."""

    version: str = ""
    """Ray's version, as the head reports it."""
    address: str = ""
    """Address of the head inside the cluster, host:port."""
    incarnation: Int = 0
    """Number of the Ray cluster: it grows when the head was lost for good or a change needs a new cluster."""


class RevisionPhase(StrEnum):
    """What a revision is to the application now."""

    CURRENT = "Current"
    """It serves."""
    UPDATED = "Updated"
    """It is being rolled out."""
    FAILED = "Failed"
    """It was rolled out, did not hold, and was taken back."""
    FORMER = "Former"
    """It can be gone back to."""


class RevisionStatus(Model):
    """One revision: what pods and replicas were, or are, made from."""

    name: str
    """The name of its ControllerRevision."""
    number: Int
    """Grows with every change that made a revision; a revision that is gone back to gets a new one."""
    phase: RevisionPhase = RevisionPhase.FORMER
    """Current, Updated, Failed or Former."""
    weight: Int = 0
    """Requests in a hundred that it gets. While a Rolling rollout replaces replicas, each gets its replicas' share."""
    ready: Int = 0
    """Replicas of it that answer, over all deployments."""
    message: str = ""
    """Why it failed."""


class RolloutStatus(Model):
    """A rollout that is under way."""

    revision: str
    """The revision that is being rolled out."""
    number: Int = 0
    """Its number."""
    step: Int = 0
    """The step of a canary that it is at, counted from 1; 0 while the revision comes up."""
    steps: Int = 0
    """How many steps there are."""
    weight: Int = 0
    """Requests in a hundred that the new revision gets."""
    next_step_time: datetime | None = None
    """When the next step begins by itself; absent while it waits for the revision to come up, or for somebody."""
    message: str = ""
    """What is waited for."""


class ServeApplicationStatus(Model):
    """The observed state of a serve application."""

    observed_generation: Int = -1
    """Generation of the spec that this status is about. Below metadata.generation: the operator has not seen the latest
    change yet."""
    conditions: Annotated[tuple[Condition, ...], ListMap("type")] = ()
    """Ready sums up. Reconciling and Stalled are present only while true. Wait for it with
    `kubectl wait --for=condition=Ready sapp/NAME`."""
    ready: str = ""
    """Replicas that answer and replicas wanted, over all deployments, for instance 3/3."""
    asleep_since: datetime | None = None
    """Since when there are no replicas as nobody asks; only with scaleToZero."""
    url: str = ""
    """Where the application answers, inside the cluster unless the Service is a LoadBalancer."""
    replicas: Int = 0
    """Replicas of the ingress deployment that exist; read by `kubectl scale` and by a HorizontalPodAutoscaler."""
    replicas_ignored: str = ""
    """Why spec.replicas, and thus `kubectl scale`, has no effect; empty when it has, or was left at 1."""
    ignored: str = ""
    """What of the spec has no effect with this code: names in spec.deployments that it does not have, …; empty if all
    has."""
    selector: str = ""
    """Label selector of the pods that hold replicas; read by a HorizontalPodAutoscaler."""
    current_revision: str = ""
    """The revision that answers requests."""
    updated_revision: str = ""
    """The revision of the latest spec; the same as currentRevision unless a rollout is under way."""
    rollout: RolloutStatus | None = None
    """The rollout that is under way, if there is one."""
    revisions: Annotated[tuple[RevisionStatus, ...], ListMap()] = ()
    """Revisions that are kept, the newest first."""
    deployments: Annotated[tuple[DeploymentStatus, ...], ListMap()] = ()
    """Deployments by name."""
    graph: Annotated[tuple[GraphNodeStatus, ...], ListMap()] = ()
    """Nodes of spec.graph by name."""
    workers: Annotated[tuple[WorkerGroupStatus, ...], ListMap()] = ()
    """Worker groups by name."""
    proxy: ProxyStatus | None = None
    """The proxy pods."""
    ray: RayStatus | None = None
    """The Ray cluster."""

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of this type, if it is there."""
        return next((it for it in self.conditions if it.type == kind), None)
