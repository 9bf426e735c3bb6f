"""Knative Serving on the test cluster, as its own manifests install it, and away again with all it has made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.knative import images
from benchmarks.knative.manifests import GRACE_S, IDLE_S
from tests.cluster import Cluster
from tests.cluster.progress import step
from tests.e2e.stage import eventually

SYSTEM = "knative-serving"
ACTIVATORS = 2
"""As many as an application of Remora has proxies."""
LEFT_OUT = {
    "HorizontalPodAutoscaler": "the cluster has no metrics server",
    "PodDisruptionBudget": "of those",
    "Certificate": "nothing here is encrypted",
    "Image": "a hint for caches of images",
}
SETTINGS = {
    "config-autoscaler": {"stable-window": f"{IDLE_S}s", "scale-to-zero-grace-period": f"{GRACE_S}s"},
    "config-deployment": {"registries-skipping-tag-resolving": "kind.local,ko.local,dev.local,remora.dev"},
}
DEPLOYMENTS = ("webhook", "controller", "autoscaler", "activator")
WEBHOOKS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
RESOURCES = "configurations.serving.knative.dev"


def objects(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return what is applied of the texts of Knative's manifests, with our images and settings. Pure."""
    found = [it for text in texts for it in yaml.safe_load_all(_with_images(text)) if it]
    # The webhooks' own Certificate is a resource; what defines such resources is not left out.
    wanted = [it for it in found if it["kind"] not in LEFT_OUT]
    for it in wanted:
        name = it["metadata"]["name"]
        if it["kind"] == "ConfigMap" and name in SETTINGS:
            it.setdefault("data", {}).update(SETTINGS[name])
        if it["kind"] == "Deployment" and name == "activator":
            it["spec"]["replicas"] = ACTIVATORS
    return sorted(wanted, key=lambda it: ORDER.get(it["kind"], len(ORDER)))


ORDER = {"Namespace": 0, "CustomResourceDefinition": 1}


def _with_images(text: str) -> str:
    for program in images.PROGRAMS:
        text = text.replace(f"ko://{images.SERVING}/cmd/{program}", images.knative(program))
    return text


def texts() -> list[str]:
    """Return Knative's manifests: Serving's core, and the definitions that it takes from its other modules."""
    core = sorted((images.sources() / "config" / "core").rglob("*.yaml"))
    networking = sorted((images.sources(images.NETWORKING) / "config").glob("*.yaml"))
    caching = sorted((images.sources(images.CACHING) / "config").glob("*.yaml"))
    return [Path(it).read_text() for it in (*core, *networking, *caching)]


@contextmanager
def installed(cluster: Cluster) -> Iterator[None]:
    """Run Knative Serving while the context is entered; nothing of it stays."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects(texts())})
    if _left(cluster):
        with step("Knative Serving: what an earlier run has left"):
            _remove(cluster, listed)
    try:
        with step(f"Knative Serving {images.KNATIVE}: kubectl apply --server-side"):
            cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=listed)
            for it in DEPLOYMENTS:
                cluster.kubectl("-n", SYSTEM, "rollout", "status", f"deployment/{it}", "--timeout=180s")
            eventually(lambda: all(_webhooks(cluster)), 60, "webhooks that the API server trusts")
        yield
    finally:
        with step("Knative Serving: removed"):
            _remove(cluster, listed)


def without_applications(cluster: Cluster, namespace: str) -> None:
    """Delete a namespace's Configurations, and wait for what was made of them while its controller is there."""
    cluster.kubectl("-n", namespace, "delete", RESOURCES, "--all", "--timeout=60s", check=False)
    revisions = f"/apis/serving.knative.dev/v1/namespaces/{namespace}/revisions"
    eventually(lambda: not (cluster.read(revisions) or {}).get("items"), 60, "no Revision")


def scene(cluster: Cluster, namespace: str) -> str:
    """Return what stands there when a row has failed."""
    kinds = "configurations.serving.knative.dev,revisions,podautoscalers,serverlessservices,endpoints"
    looks = [("-n", SYSTEM, "get", "pods", "-o", "wide"), ("-n", namespace, "get", kinds)]
    looks += [("-n", SYSTEM, "logs", f"deployment/{it}", "--tail=15") for it in DEPLOYMENTS]
    return "\n".join(f"── kubectl {' '.join(it)}\n{cluster.kubectl(*it, check=False)}" for it in looks)


def _webhooks(cluster: Cluster) -> list[str]:
    """Return by which certificate the API server knows each of Knative's webhooks, empty where it does not yet."""
    found = [
        hook
        for kind in WEBHOOKS
        for it in (cluster.read(f"/apis/admissionregistration.k8s.io/v1/{kind}") or {}).get("items", [])
        if "knative" in it["metadata"]["name"]
        for hook in it["webhooks"]
    ]
    return [str(it["clientConfig"].get("caBundle", "")) for it in found] or [""]


def _remove(cluster: Cluster, listed: str) -> None:
    cluster.kubectl("delete", RESOURCES, "--all", "--all-namespaces", "--timeout=60s", check=False)
    # Before what answers them: a webhook without its pods refuses all that it is asked about.
    for kind in WEBHOOKS:
        cluster.kubectl("delete", kind, "-l", "app.kubernetes.io/name=knative-serving", check=False)
    cluster.kubectl("-n", SYSTEM, "delete", "deployments", "--all", "--wait=false", check=False)
    # An activator takes up to ten minutes for what it still has.
    cluster.kubectl("-n", SYSTEM, "delete", "pods", "--all", "--grace-period=0", "--force", check=False)
    cluster.kubectl("delete", "-f", "-", "--ignore-not-found", "--timeout=180s", input=listed, check=False)
    left = _left(cluster)
    assert not left, f"Knative has left: {left}"


def _left(cluster: Cluster) -> list[str]:
    """Return what a later test could stumble over."""
    kinds = ",".join(("crd", *WEBHOOKS, "clusterroles", "clusterrolebindings", "namespaces"))
    return [it for it in cluster.kubectl("get", kinds, "-o", "name").split() if "knative" in it]
