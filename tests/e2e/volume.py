"""A StorageClass with one volume, a folder of the first node: for what has to outlive a pod."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster import Cluster


@contextmanager
def volume(cluster: Cluster, name: str) -> Iterator[str]:
    """Give both by that name. Whoever uses the volume has gone when the block ends, and the folder goes then, too.

    Only where the nodes' files are this machine's.
    """
    folder = Path(tempfile.mkdtemp(prefix="remora-volume-"))
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": _manifests(name, cluster.nodes[0], folder)})
    try:
        cluster.kubectl("apply", "-f", "-", input=document)
        yield name
    finally:
        cluster.kubectl("delete", "-f", "-", "--ignore-not-found", "--wait=false", input=document)
        shutil.rmtree(folder)


def _manifests(name: str, node: str, folder: Path) -> list[dict[str, Any]]:
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": name,
                "local": {"path": str(folder)},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
            },
        },
    ]
