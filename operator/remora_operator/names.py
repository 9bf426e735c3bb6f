"""Names of everything that the operator makes for one application.

Pure. An application's name has at most 40 characters and a group's at most 15, which the resource's schema sees to.
Pods add six characters to the name of their ReplicaSet, and a pod's name is a host name of at most 63.
"""

from __future__ import annotations

from remora_api import wire
from remora_api.digests import digest
from remora_api.keys import Purpose
from remora_api.meta import Component, Port

MAX_POD_OWNER = 63 - len("-xxxxx")
HASH_DIGITS = 8


def short_hash(value: object) -> str:
    """Return the few digits that tell versions of a JSON value apart in names and labels."""
    return digest(value)[:HASH_DIGITS]


def head(application: str, incarnation: int) -> str:
    """StatefulSet and Service of the head of one Ray cluster."""
    return f"{application}-head-{incarnation}"


def head_host(application: str, namespace: str, incarnation: int) -> str:
    """Name by which other pods reach a head; it does not depend on the cluster's domain."""
    return f"{head(application, incarnation)}.{namespace}.svc"


def controller_url(application: str, namespace: str, incarnation: int) -> str:
    """Base URL of a controller."""
    return f"http://{head_host(application, namespace, incarnation)}:{Port.CONTROLLER}"


def born(application: str, incarnation: int) -> str:
    """ConfigMap that says that a Ray cluster may have had replicas."""
    return f"{head(application, incarnation)}-born"


def worker(application: str, group: wire.GroupTarget) -> str:
    """ReplicaSet of one group and template."""
    return bounded(f"{application}-{group.name}", group.template, MAX_POD_OWNER)


def proxy(application: str) -> str:
    """Deployment of the proxies, and their PodDisruptionBudget."""
    return f"{application}-proxy"


def service(application: str) -> str:
    """Service in front of the proxies: the application's own name."""
    return application


def routing(application: str) -> str:
    """ConfigMap that proxies start with."""
    return f"{application}-routing"


def code(application: str, digest: str) -> str:
    """ConfigMap that keeps user code, by its content."""
    return f"{application}-code-{digest}"


def account(application: str, component: Component) -> str:
    """ServiceAccount of one kind of pod; NetworkPolicy and PodDisruptionBudget are named alike."""
    return f"{application}-{component.value}"


def key(application: str, uid: str, purpose: Purpose, generation: int) -> str:
    """Secret with one key. The uid is in it, so that an application made anew never meets its predecessor's Secret."""
    return f"{application}-{purpose.value}-key-{short_hash([uid, generation])}"


def bounded(name: str, suffix: str, limit: int) -> str:
    """Return `name-suffix`, with the name cut and told apart by a digest when both are too long.

    Example: a limit of 20 makes `a-very-long-name` and `12345678` into `a-ver-4f2a-12345678`.
    """
    whole = f"{name}-{suffix}"
    if len(whole) <= limit:
        return whole
    told_apart = digest(name)[:4]
    kept = name[: limit - len(suffix) - len(told_apart) - 2].rstrip("-")
    return f"{kept}-{told_apart}-{suffix}"
