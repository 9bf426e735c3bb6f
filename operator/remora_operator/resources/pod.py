"""Parts that the pods of all components share: security, keys, probes and tolerations.

Pure. Everything holds to Pod Security *restricted*: no root, no privileges, a root file system that cannot be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from remora_api import quantity
from remora_api.keys import Purpose
from remora_api.meta import Component, Path
from remora_api.v1alpha1 import PodTemplate, Resources, ServeApplication
from remora_operator import names
from remora_operator.installation import KEY_GENERATION
from remora_operator.kinds import Manifest
from remora_operator.overlay import lay_over
from remora_operator.resources.metadata import Owner

USER_ID = 10001

UNREACHABLE_S = 30
"""How long a pod stays bound to a node that is gone: Kubernetes' own 300 s is a long time without a replica."""

OBJECT_STORE_BYTES = 80 << 20
"""Of each Ray node. Requests do not pass through it; Ray refuses to start with less than 75 MiB."""

SHARED_MEMORY = "160Mi"
"""Of /dev/shm: the object store and what Ray keeps beside it."""


def pod_template(
    owner: Owner,
    application: ServeApplication,
    component: Component,
    containers: Sequence[Manifest],
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
    purposes: Iterable[Purpose],
    volumes: Sequence[Manifest] = (),
    grace_s: int,
    user_template: PodTemplate | None,
    extra: Mapping[str, Any] | None = None,
) -> Manifest:
    """Return `spec.template` of one component, with the user's own template laid over it."""
    spec = application.spec
    template: Manifest = {
        "metadata": {"labels": dict(labels)} | ({"annotations": dict(annotations)} if annotations else {}),
        "spec": {
            "serviceAccountName": names.account(owner.name, component),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": grace_s,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER_ID,
                "runAsGroup": USER_ID,
                "fsGroup": USER_ID,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "tolerations": [_leave_soon("not-ready"), _leave_soon("unreachable")],
            "containers": list(containers),
            "volumes": [keys_volume(owner, purposes), *volumes],
            **(
                {"imagePullSecrets": [{"name": it.name} for it in spec.image_pull_secrets]}
                if spec.image_pull_secrets
                else {}
            ),
            **(extra or {}),
        },
    }
    if user_template is None:
        return template
    metadata = user_template.metadata
    patch: Manifest = {"spec": user_template.spec}
    if metadata is not None:
        patch["metadata"] = {"labels": metadata.labels, "annotations": metadata.annotations}
    merged = lay_over(template, patch)
    # The operator finds its pods by these; the schema keeps users from setting them.
    merged["metadata"]["labels"] |= dict(labels)
    return merged


def container(
    name: str,
    image: str,
    arguments: Sequence[str],
    *,
    application: ServeApplication,
    env: Sequence[Manifest],
    ports: Mapping[str, int],
    resources: Manifest,
    mounts: Sequence[Manifest],
    probes: Mapping[str, Manifest],
    extra: Mapping[str, Any] | None = None,
) -> Manifest:
    """Return one container of ours."""
    policy = application.spec.image_pull_policy
    return {
        "name": name,
        "image": image,
        "args": list(arguments),
        **({"imagePullPolicy": policy.value} if policy else {}),
        "env": list(env),
        "ports": [{"name": port, "containerPort": number, "protocol": "TCP"} for port, number in ports.items()],
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "keys", "mountPath": Path.KEYS, "readOnly": True}, *mounts],
        **probes,
        **(extra or {}),
    }


def value(name: str, text: str) -> Manifest:
    """Return an environment variable."""
    return {"name": name, "value": text}


def tracing(application: ServeApplication) -> list[Manifest]:
    """Return the environment variables by which a proxy or a worker makes spans; none where tracing is off."""
    wanted = application.spec.tracing
    if wanted is None:
        return []
    return [
        value("REMORA_TRACING_ENDPOINT", wanted.endpoint),
        value("REMORA_TRACING_SAMPLING_RATIO", str(wanted.sampling_rate_per_million / 1_000_000)),
    ]


def field(name: str, path: str) -> Manifest:
    """Return an environment variable with a field of the pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def http_probe(path: str, port: int, *, period_s: int, failures: int, timeout_s: int = 3) -> Manifest:
    """Return a probe by HTTP."""
    return _probe({"httpGet": {"path": path, "port": port, "scheme": "HTTP"}}, period_s, failures, timeout_s)


def tcp_probe(port: int, *, period_s: int, failures: int, timeout_s: int = 3) -> Manifest:
    """Return a probe that only connects."""
    return _probe({"tcpSocket": {"port": port}}, period_s, failures, timeout_s)


def _probe(how: Manifest, period_s: int, failures: int, timeout_s: int) -> Manifest:
    return how | {
        "periodSeconds": period_s,
        "failureThreshold": failures,
        "timeoutSeconds": timeout_s,
        "successThreshold": 1,
    }


def scratch(name: str) -> Manifest:
    """Return an empty volume on the node's disk."""
    return {"name": name, "emptyDir": {}}


def shared_memory() -> Manifest:
    """Return the volume for /dev/shm."""
    return {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}}


def mount(name: str, path: str, *, read_only: bool = False) -> Manifest:
    """Return a volume mount."""
    return {"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {})


def keys_volume(owner: Owner, purposes: Iterable[Purpose]) -> Manifest:
    """Return the volume with the keys of these purposes: one folder each, with a file `key`."""
    return {
        "name": "keys",
        "projected": {
            "defaultMode": 0o440,
            "sources": [
                {
                    "secret": {
                        "name": names.key(owner.name, owner.uid, purpose, KEY_GENERATION),
                        "items": [{"key": "key", "path": f"{purpose.value}/key"}],
                    }
                }
                for purpose in purposes
            ],
        },
    }


def key_file(purpose: Purpose) -> str:
    """Return where a container finds a key."""
    return f"{Path.KEYS}/{purpose.value}/key"


def requests_and_limits(resources: Resources, share: float = 1.0) -> Manifest:
    """Return a container's resources: all of it is requested, all but cpu is also the limit.

    `share` is the container's part of what the pod asks for.
    """
    if share == 1.0:
        requests: dict[str, str] = dict(resources.root)
    else:
        requests = {
            name: f"{int(quantity.milli(text) * share)}m" if name == "cpu" else str(int(quantity.whole(text) * share))
            for name, text in resources.root.items()
            if "/" not in name
        }
    limits = {name: text for name, text in requests.items() if name != "cpu"}
    return {"requests": requests} | ({"limits": limits} if limits else {})


def _leave_soon(state: str) -> Manifest:
    return {
        "key": f"node.kubernetes.io/{state}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": UNREACHABLE_S,
    }
