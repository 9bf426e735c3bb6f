"""KubeRay's operator on the test cluster, as its own kustomization installs it, and away again with all it has made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers import images
from tests.cluster import Cluster
from tests.cluster.progress import step
from tests.e2e.stage import eventually

SYSTEM = "kuberay-system"
CLUSTERS = "/apis/ray.io/v1/rayclusters"
OVERLAY = {
    "apiVersion": "kustomize.config.k8s.io/v1beta1",
    "kind": "Kustomization",
    "namespace": SYSTEM,
    "resources": ["../config/default"],
    "images": [
        {"name": "quay.io/kuberay/operator", "newName": images.OPERATOR.rpartition(":")[0], "newTag": images.KUBERAY}
    ],
}


def definitions() -> Path:
    """Return the folder of KubeRay's definitions of resources."""
    return images.sources() / "config" / "crd" / "bases"


@contextmanager
def installed(cluster: Cluster) -> Iterator[None]:
    """Run KubeRay's operator while the context is entered; nothing of it stays."""
    with TemporaryDirectory() as folder:
        shutil.copytree(images.sources() / "config", Path(folder, "config"))
        overlay = Path(folder, "overlay")
        overlay.mkdir()
        (overlay / "kustomization.yaml").write_text(json.dumps(OVERLAY))
        try:
            with step(f"KubeRay {images.KUBERAY}: kubectl apply --server-side -k config/default"):
                cluster.kubectl("create", "namespace", SYSTEM)
                cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(overlay))
                words = ("rollout", "status", "deployment/kuberay-operator", "--timeout=120s")
                cluster.kubectl("-n", SYSTEM, *words)
            yield
        finally:
            with step("KubeRay: removed"):
                _remove(cluster, overlay)


def without_services(cluster: Cluster, namespace: str) -> None:
    """Delete a namespace's RayServices while the operator is there to let go of their Ray clusters."""
    cluster.kubectl("-n", namespace, "delete", "rayservices", "--all", "--timeout=60s", check=False)
    try:
        eventually(lambda: not _clusters(cluster), 60, "no RayCluster")
    except AssertionError:
        # The job that cleans Redis did not end in time; with the namespace Redis goes, too.
        for name, at in _clusters(cluster):
            nothing = '{"metadata": {"finalizers": null}}'
            cluster.kubectl("-n", at, "patch", "raycluster", name, "--type=merge", "-p", nothing, check=False)


def _clusters(cluster: Cluster) -> list[tuple[str, str]]:
    found = cluster.read(CLUSTERS)
    return [(it["metadata"]["name"], it["metadata"]["namespace"]) for it in found["items"]] if found else []


def _remove(cluster: Cluster, overlay: Path) -> None:
    for name, at in _clusters(cluster):
        without_services(cluster, at)
        cluster.kubectl("-n", at, "delete", "raycluster", name, "--wait=false", check=False)
    cluster.kubectl("delete", "-k", str(overlay), "--ignore-not-found", "--timeout=120s", check=False)
    cluster.kubectl("delete", "namespace", SYSTEM, "--ignore-not-found", "--timeout=120s", check=False)
