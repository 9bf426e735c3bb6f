"""The names that Remora's parts, and its users' tools, know each other by.

Pure constants: group and kind, labels and annotations, condition types and reasons, ports and paths in the pods.
Labels and annotations are public: dashboards and network policies of users select by them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Self

GROUP: Final = "remora.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "ServeApplication"
LIST_KIND: Final = "ServeApplicationList"
PLURAL: Final = "serveapplications"
SINGULAR: Final = "serveapplication"
SHORT_NAME: Final = "sapp"
CATEGORIES: Final = ("all", "remora")

_PREFIX: Final = f"{GROUP}/"

FIELD_MANAGER: Final = "remora-operator"
"""Owner, in server-side apply, of everything the operator writes."""


class Label:
    """Keys of labels. Values are at most 63 characters long."""

    NAME: Final = "app.kubernetes.io/name"
    """Always `remora`."""
    INSTANCE: Final = "app.kubernetes.io/instance"
    """The application's name."""
    COMPONENT_OF: Final = "app.kubernetes.io/component"
    """As `remora.dev/component`, for tools that know only the common labels."""
    PART_OF: Final = "app.kubernetes.io/part-of"
    MANAGED_BY: Final = "app.kubernetes.io/managed-by"
    """Always `remora-operator`."""

    APPLICATION: Final = f"{_PREFIX}application"
    """The ServeApplication's name."""
    COMPONENT: Final = f"{_PREFIX}component"
    """One of `Component`."""
    GROUP: Final = f"{_PREFIX}group"
    """Name of the worker group, on workers."""
    INCARNATION: Final = f"{_PREFIX}incarnation"
    """Number of the Ray cluster, on heads and workers."""
    REVISION: Final = f"{_PREFIX}revision"
    POD_TEMPLATE_HASH: Final = f"{_PREFIX}pod-template-hash"
    """Which template a pod was made from."""


class Annotation:
    """Keys of annotations."""

    SPEC_HASH: Final = f"{GROUP}/spec-hash"
    """Digest of what the operator applied last, so that an unchanged child is not written again."""
    INCARNATION_BORN: Final = f"{GROUP}/incarnation-born"
    """On a head's objects: its workers were started once, so an empty store means that the old one was lost."""
    CODE_DIGEST: Final = f"{GROUP}/code-digest"
    """On a copy of user code: what its files are known by."""
    ROLLOUT: Final = f"{GROUP}/rollout"
    """On a resource, by a person: `promote|abort|retry REVISION/NUMBER [STEP]`; says nothing of any other rollout."""
    PAUSED: Final = f"{GROUP}/paused"
    """On a resource, by a person: with `true` the operator observes and reports, and writes nothing but the status."""
    DEPLOYMENTS: Final = f"{GROUP}/deployments"
    """On a revision: `spec.deployments` as they were last while it was wanted."""
    ROLLOUT_BEGAN: Final = f"{GROUP}/rollout-began"
    ROLLOUT_STEP: Final = f"{GROUP}/rollout-step"
    """On a revision: the step of its rollout that it has reached, counted from 1."""
    ROLLOUT_SINCE: Final = f"{GROUP}/rollout-step-since"
    ROLLOUT_FAILED: Final = f"{GROUP}/rollout-failed"
    """On a revision: why it was taken back; empty if it was not."""


class Component(StrEnum):
    """What a pod is: the value of the component label."""

    HEAD = "head"
    WORKER = "worker"
    PROXY = "proxy"


class Container:
    """Names of the containers in the pods, by which users' pod templates reach them."""

    RAY: Final = "ray"
    """In the head pod, beside the controller."""
    CONTROLLER: Final = "controller"
    WORKER: Final = "worker"
    PROXY: Final = "proxy"


class Explained(StrEnum):
    """Words with an explanation, which the reference page prints: `WORD = "Word", "What it means."`"""

    _value_: str
    explanation: str

    def __new__(cls, value: str, explanation: str) -> Self:
        """Make the word itself, and keep the explanation beside it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member


class ConditionType(Explained):
    """Conditions in `status.conditions`. Reconciling and Stalled are there only while true, and never both."""

    READY = "Ready", "The latest spec is served: every deployment has its replicas and the proxies are ready."
    RECONCILING = "Reconciling", "Work is under way towards the latest spec; the message says what is waited for."
    STALLED = (
        "Stalled",
        "No progress without a change by you: the message names the object at fault and its last error.",
    )
    AVAILABLE = (
        "Available",
        "Requests are answered, if perhaps by fewer replicas or an older revision than you asked for.",
    )
    HEAD_READY = (
        "HeadReady",
        "The Ray head and the controller answer. Requests are served without them, but nothing changes.",
    )
    PROXY_READY = "ProxyReady", "At least one proxy takes requests."
    PAUSED = (
        "Paused",
        "Only while the annotation `remora.dev/paused` is `true`: the operator observes, reports, and changes nothing.",
    )


class Reason(Explained):
    """Reasons of conditions and of events: stable words for alerts and scripts."""

    SERVING = "Serving", "All is as the spec wants it."
    SUSPENDED = "Suspended", "`spec.suspend` is true: nothing runs."
    ASLEEP = "Asleep", "`spec.scaleToZero`: nobody asks, so there are no replicas; the next request brings them back."
    APPLY_FAILED = (
        "ApplyFailed",
        "The API server refuses an object of the application; the message names it, and why.",
    )
    INVALID_SPEC = "InvalidSpec", "The stored object does not hold to the schema; the message has the field's path."
    CODE_NOT_FOUND = "CodeNotFound", "The ConfigMap of `spec.code.configMap` does not exist."
    WAITING_FOR_HEAD = "WaitingForHead", "The Ray head or the controller does not answer yet."
    WAITING_FOR_WORKERS = "WaitingForWorkers", "Worker pods are starting or cannot be scheduled."
    WAITING_FOR_PROXY = "WaitingForProxy", "No proxy is ready yet."
    WAITING_FOR_REPLICAS = "WaitingForReplicas", "Replicas are starting."
    BUILDING = "Building", "The code is being imported and its deployments worked out."
    BUILD_FAILED = (
        "BuildFailed",
        "The import path or the builder function raised; the message has the last line of the traceback.",
    )
    REPLICAS_FAILING = "ReplicasFailing", "Replicas of a deployment failed to start, again and again."
    NO_CAPACITY = "NoCapacity", "A replica fits on no worker group, or its group is at maxReplicas."
    ROLLING_OUT = "RollingOut", "Replicas of a new revision replace those of the old one."
    PROGRESS_DEADLINE_EXCEEDED = (
        "ProgressDeadlineExceeded",
        "The rollout made no progress for `spec.rollout.progressDeadlineSeconds`.",
    )
    ROLLED_BACK = (
        "RolledBack",
        "The latest revision failed and was taken back: the one before serves; change the spec, or try again.",
    )
    REVISION_NOT_FOUND = "RevisionNotFound", "`spec.revision` names a revision that is not kept."
    PAUSED = "Paused", "`spec.rollout.paused` is true: the rollout goes no further."
    RECONCILE_PAUSED = (
        "ReconcilePaused",
        "The annotation `remora.dev/paused` is `true`, and something is not as wanted; the message says what.",
    )
    PROMOTING = "Promoting", "The new revision is ready, and gets requests step by step, or waits to be promoted."
    NO_REPLICAS = "NoReplicas", "No replica answers requests."
    POD_FAILED = (
        "PodFailed",
        "A pod cannot start: image, quota, or a crash loop; the message has the pod and its last state.",
    )


class Port:
    """Ports inside the pods; all of them pinned, so that network policies can name them."""

    HTTP: Final = 8000
    """Of the proxy: users' requests."""
    PROXY_ADMIN: Final = 8001
    """Of the proxy: routing, health and metrics."""
    GRPC: Final = 9000
    """Of the proxy, where the application serves gRPC: users' calls."""
    CONTROLLER: Final = 8070
    """Of the head pod: the controller's API."""
    GCS: Final = 6379
    """Of the head pod: Ray's tables."""
    RAY_NODE_MANAGER: Final = 6380
    RAY_OBJECT_MANAGER: Final = 6381
    RAY_RUNTIME_ENV_AGENT: Final = 6382
    RAY_DASHBOARD_AGENT: Final = 6383
    RAY_DASHBOARD_AGENT_HTTP: Final = 6384
    RAY_METRICS: Final = 6385
    WORKER_HEALTH: Final = 8002
    """Of a worker pod: its PID 1, for the kubelet's probes."""
    RAY_WORKERS: Final = (10002, 10999)
    """First and last port of Ray's worker processes."""
    REPLICAS: Final = (11000, 11999)
    """First and last port at which replicas take requests."""


class Path:
    """Where things are in the pods. All but these and /tmp is read-only."""

    KEYS: Final = "/var/run/remora/keys"
    """Secrets, one file per purpose."""
    CODE: Final = "/var/run/remora/code"
    """User code, one folder per digest."""
    STATE: Final = "/var/lib/remora"
    """Of the head: Ray's tables and the controller's checkpoint; an emptyDir or a volume claim."""
    RAY_TEMP: Final = "/tmp/ray"
