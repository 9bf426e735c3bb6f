"""Worker pods: one ReplicaSet per worker group and pod template, and a PodDisruptionBudget over all of them.

Pure. Kubernetes itself replaces a dead worker pod, also while the operator is away. What is in `inputs` decides whether
a change of the resource needs new pods.
"""

from __future__ import annotations

import json
from typing import Any

from remora_api import target
from remora_api.keys import Purpose
from remora_api.meta import Component, Label, Port
from remora_api.v1alpha1 import ServeApplication, WorkerGroup
from remora_api.wire import GroupTarget
from remora_operator import names
from remora_operator.kinds import BUDGET, REPLICA_SET, Manifest
from remora_operator.resources import pod
from remora_operator.resources.metadata import Owner, child, labels, selector

DRAIN_S = 25
"""How long the replicas of a worker pod may finish their requests when no deployment asks for more."""
MARGIN_S = 10
"""For the pod's own processes to end after its replicas."""


def drain_s(application: ServeApplication) -> int:
    """Return the longest that any replica may take to finish what it works on."""
    asked = (it.graceful_shutdown_timeout_seconds for it in application.spec.deployments)
    return max(DRAIN_S, *(seconds for seconds in asked if seconds is not None), 0)


def inputs(application: ServeApplication, group: WorkerGroup, incarnation: int, image: str) -> dict[str, Any]:
    """Return what the pods of a group are made from: when it changes, new pods take over from the old ones.

    How long replicas may drain is left out: it changes in place, and pods that are there keep the grace they have.
    """
    spec = application.spec
    return {
        "incarnation": incarnation,
        "image": image,
        "pull": [spec.image_pull_policy, [it.name for it in spec.image_pull_secrets]],
        "env": [it.model_dump(mode="json", by_alias=True, exclude_none=True) for it in spec.env],
        "envFrom": [it.model_dump(mode="json", by_alias=True, exclude_none=True) for it in spec.env_from],
        "resources": group.resources.root,
        "podTemplate": group.pod_template.model_dump(mode="json", by_alias=True) if group.pod_template else None,
        # Absent where it is off, so that an operator that knows of it replaces no worker that was there before.
        **({"tracing": spec.tracing.model_dump(mode="json")} if spec.tracing else {}),
        **({"rayLabels": group.ray_labels} if group.ray_labels else {}),
    }


def replica_set(
    owner: Owner,
    application: ServeApplication,
    group: WorkerGroup,
    wanted: GroupTarget,
    incarnation: int,
    image: str,
    replicas: int,
) -> Manifest:
    """Return the ReplicaSet of a group's pods of one template."""
    told_apart = {
        Label.GROUP: group.name,
        Label.INCARNATION: str(incarnation),
        Label.POD_TEMPLATE_HASH: wanted.template,
    }
    worker = pod.container(
        "worker",
        image,
        ["worker"],
        application=application,
        env=_environment(owner, application, group, wanted, incarnation),
        ports={"health": Port.WORKER_HEALTH},
        resources=pod.requests_and_limits(group.resources),
        mounts=[pod.mount("tmp", "/tmp"), pod.mount("shm", "/dev/shm")],
        probes={
            "startupProbe": pod.http_probe("/readyz", Port.WORKER_HEALTH, period_s=1, failures=600),
            "readinessProbe": pod.http_probe("/readyz", Port.WORKER_HEALTH, period_s=5, failures=3),
            "livenessProbe": pod.http_probe("/healthz", Port.WORKER_HEALTH, period_s=10, failures=6, timeout_s=5),
        },
        extra={"envFrom": [_plain(it) for it in application.spec.env_from]} if application.spec.env_from else {},
    )
    template = pod.pod_template(
        owner,
        application,
        Component.WORKER,
        [worker],
        labels=labels(owner, Component.WORKER) | told_apart,
        purposes=(Purpose.RAY, Purpose.DATA),
        volumes=[pod.scratch("tmp"), pod.shared_memory()],
        grace_s=drain_s(application) + MARGIN_S,
        user_template=group.pod_template,
        extra={"topologySpreadConstraints": [_spread(owner)]},
    )
    body: Manifest = {
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selector(owner, Component.WORKER) | told_apart},
            "template": template,
        }
    }
    return child(
        REPLICA_SET,
        names.worker(owner.name, wanted),
        owner,
        body,
        component=Component.WORKER,
        more_labels=told_apart,
        made_from=wanted.template,
    )


def budget(owner: Owner) -> Manifest:
    """Return the budget that lets a node drain take one worker pod at a time."""
    body: Manifest = {
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(owner, Component.WORKER)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
    }
    return child(BUDGET, names.account(owner.name, Component.WORKER), owner, body, component=Component.WORKER)


def _environment(
    owner: Owner, application: ServeApplication, group: WorkerGroup, wanted: GroupTarget, incarnation: int
) -> list[Manifest]:
    resources = group.resources
    custom = target.ray_resources(resources.others)
    ours = [
        pod.field("POD_NAME", "metadata.name"),
        pod.field("POD_IP", "status.podIP"),
        pod.field("NODE_NAME", "spec.nodeName"),
        pod.value("REMORA_HEAD_ADDRESS", f"{names.head_host(owner.name, owner.namespace, incarnation)}:{Port.GCS}"),
        pod.value("REMORA_GROUP", group.name),
        pod.value("REMORA_TEMPLATE", wanted.template),
        pod.value("REMORA_INCARNATION", str(incarnation)),
        pod.value("REMORA_CPU_MILLI", str(resources.cpu_milli or 0)),
        pod.value("REMORA_MEMORY_BYTES", str(resources.memory_bytes or 0)),
        pod.value("REMORA_CUSTOM_RESOURCES", json.dumps(custom, sort_keys=True)),
        pod.value("REMORA_OBJECT_STORE_BYTES", str(pod.OBJECT_STORE_BYTES)),
        pod.value("REMORA_DRAIN_TIMEOUT_S", str(drain_s(application))),
        *pod.tracing(application),
        *([pod.value("REMORA_RAY_LABELS", json.dumps(group.ray_labels, sort_keys=True))] if group.ray_labels else []),
    ]
    reserved = {it["name"] for it in ours}
    return ours + [_plain(it) for it in application.spec.env if it.name not in reserved]


def _plain(model: Any) -> Manifest:
    plain: Manifest = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain


def _spread(owner: Owner) -> Manifest:
    """Over nodes where there are several: replicas can only be spread as far as the pods that hold them."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(owner, Component.WORKER)},
    }
