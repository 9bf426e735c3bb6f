"""The head of one Ray cluster: a StatefulSet of one pod, its Service, and the mark that it was born.

Pure. The pod has two containers: `head` runs Ray's own processes, `controller` ours. What is in `inputs` decides
whether a change of the resource needs a new Ray cluster.
"""

from __future__ import annotations

from typing import Any

from remora_api.keys import Purpose
from remora_api.meta import Annotation, Component, Container, Label, Path, Port
from remora_api.v1alpha1 import ServeApplication
from remora_operator import names
from remora_operator.kinds import CONFIG_MAP, SERVICE, STATEFUL_SET, Manifest
from remora_operator.resources import pod
from remora_operator.resources.metadata import Owner, child, labels, selector

IMAGE_ANNOTATION = "remora.dev/image"
BORN_FOLDER = "/var/run/remora/born"
BORN_KEY = "incarnation"
CONTROLLER_SHARE = 0.3
"""The controller's part of what the head pod asks for; Ray has the rest."""
GRACE_S = 30
LOST_STORE = 64
"""Exit status of a head that finds no tables although its Ray cluster was born."""


def inputs(application: ServeApplication) -> dict[str, Any]:
    """Return the part of the spec that a Ray cluster is made from: when it changes, a new one takes over.

    The image is the one that the user asked for. Remora's own may differ with the next version of the operator, and
    that alone must not replace anything.
    """
    spec = application.spec
    return {
        "image": spec.image or "",
        "pull": [spec.image_pull_policy, [it.name for it in spec.image_pull_secrets]],
        "head": spec.head.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def stateful_set(owner: Owner, application: ServeApplication, incarnation: int, image: str, made_from: str) -> Manifest:
    """Return the StatefulSet of the head."""
    head = application.spec.head
    name = names.head(owner.name, incarnation)
    mine = _labels(owner, incarnation)
    mounts = [pod.mount("tmp", "/tmp"), pod.mount("shm", "/dev/shm"), pod.mount("state", Path.STATE)]
    env = [
        pod.field("POD_NAME", "metadata.name"),
        pod.field("POD_IP", "status.podIP"),
        pod.value("REMORA_INCARNATION", str(incarnation)),
        pod.value("REMORA_OBJECT_STORE_BYTES", str(pod.OBJECT_STORE_BYTES)),
    ]
    url = names.controller_url(owner.name, owner.namespace, incarnation)
    ray = pod.container(
        Container.RAY,
        image,
        ["head"],
        application=application,
        env=env,
        ports={"gcs": Port.GCS, "health": Port.WORKER_HEALTH},
        resources=pod.requests_and_limits(head.resources, 1 - CONTROLLER_SHARE),
        mounts=[*mounts, pod.mount("born", BORN_FOLDER, read_only=True)],
        probes={
            "startupProbe": pod.tcp_probe(Port.GCS, period_s=1, failures=180),
            "readinessProbe": pod.tcp_probe(Port.GCS, period_s=5, failures=3),
            "livenessProbe": pod.http_probe("/healthz", Port.WORKER_HEALTH, period_s=10, failures=6, timeout_s=5),
        },
    )
    controller = pod.container(
        Container.CONTROLLER,
        image,
        ["controller"],
        application=application,
        env=[*env, pod.value("REMORA_CONTROLLER_URL", url)],
        ports={"controller": Port.CONTROLLER},
        resources=pod.requests_and_limits(head.resources, CONTROLLER_SHARE),
        mounts=mounts,
        probes={
            # Long, as Python and Ray are imported on a CPU that other containers start on as well.
            "startupProbe": pod.http_probe("/healthz", Port.CONTROLLER, period_s=1, failures=180),
            "readinessProbe": pod.http_probe("/readyz", Port.CONTROLLER, period_s=2, failures=3),
            "livenessProbe": pod.http_probe("/healthz", Port.CONTROLLER, period_s=10, failures=3, timeout_s=5),
        },
    )
    template = pod.pod_template(
        owner,
        application,
        Component.HEAD,
        [ray, controller],
        labels=mine,
        annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        purposes=(Purpose.RAY, Purpose.CONTROL, Purpose.DATA),
        volumes=[
            pod.scratch("tmp"),
            pod.shared_memory(),
            {"name": "born", "configMap": {"name": names.born(owner.name, incarnation), "optional": True}},
            *([] if head.storage else [pod.scratch("state")]),
        ],
        grace_s=GRACE_S,
        user_template=head.pod_template,
        # A Ray driver finds the node that it belongs to among the processes that it sees.
        extra={"shareProcessNamespace": True},
    )
    body: Manifest = {
        "spec": {
            "replicas": 1,
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": _selector(owner, incarnation)},
            "template": template,
            **(_kept(application) if head.storage else {}),
        }
    }
    return child(
        STATEFUL_SET,
        name,
        owner,
        body,
        component=Component.HEAD,
        more_labels={Label.INCARNATION: str(incarnation)},
        annotations={IMAGE_ANNOTATION: image},
        made_from=made_from,
    )


def service(owner: Owner, incarnation: int) -> Manifest:
    """Return the Service by which workers find Ray and everyone finds the controller.

    Not-ready heads count: Ray's tables must be reachable while the controller restarts.
    """
    body: Manifest = {
        "spec": {
            "type": "ClusterIP",
            "publishNotReadyAddresses": True,
            "selector": _selector(owner, incarnation),
            "ports": [
                {"name": "gcs", "port": Port.GCS, "targetPort": Port.GCS, "protocol": "TCP"},
                {"name": "controller", "port": Port.CONTROLLER, "targetPort": Port.CONTROLLER, "protocol": "TCP"},
            ],
        }
    }
    return child(
        SERVICE,
        names.head(owner.name, incarnation),
        owner,
        body,
        component=Component.HEAD,
        more_labels=_incarnation(incarnation),
    )


def born_mark(owner: Owner, incarnation: int) -> Manifest:
    """Return the mark that is written before the first replica: from now on an empty store means a lost one."""
    return child(
        CONFIG_MAP,
        names.born(owner.name, incarnation),
        owner,
        {"immutable": True, "data": {BORN_KEY: str(incarnation)}},
        component=Component.HEAD,
        more_labels=_incarnation(incarnation),
        annotations={Annotation.INCARNATION_BORN: "true"},
    )


def _incarnation(incarnation: int) -> dict[str, str]:
    return {Label.INCARNATION: str(incarnation)}


def _labels(owner: Owner, incarnation: int) -> dict[str, str]:
    return labels(owner, Component.HEAD) | _incarnation(incarnation)


def _selector(owner: Owner, incarnation: int) -> dict[str, str]:
    return selector(owner, Component.HEAD) | _incarnation(incarnation)


def _kept(application: ServeApplication) -> Manifest:
    storage = application.spec.head.storage
    assert storage is not None
    claim = {
        "metadata": {"name": "state"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": storage.size}},
            **({"storageClassName": storage.storage_class_name} if storage.storage_class_name else {}),
        },
    }
    return {
        "volumeClaimTemplates": [claim],
        # The tables of one Ray cluster are of no use to the next one; one that sleeps wakes up as it was.
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
    }
