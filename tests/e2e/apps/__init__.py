"""Applications that the end-to-end tests deploy, and the manifests to deploy them with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def source(name: str) -> str:
    """Return the text of an application's module."""
    return (HERE / f"{name}.py").read_text()


def application(name: str, import_path: str, **spec: Any) -> dict[str, Any]:
    """Return a small ServeApplication: one proxy, one worker to begin with, little of everything."""
    small: dict[str, Any] = {
        "importPath": import_path,
        "workers": [
            {"name": "default", "minReplicas": 1, "maxReplicas": 4, "resources": {"cpu": "500m", "memory": "1Gi"}}
        ],
        # The nodes have four CPUs for the pods of two tests at a time, and for those of tests before that still go.
        "proxy": {"replicas": 1, "resources": {"cpu": "100m", "memory": "256Mi"}},
        "head": {"resources": {"cpu": "200m", "memory": "1Gi"}},
    }
    return {
        "apiVersion": "remora.dev/v1alpha1",
        "kind": "ServeApplication",
        "metadata": {"name": name},
        "spec": small | spec,
    }


def deployment(name: str, **options: Any) -> dict[str, Any]:
    """Return an entry of `spec.deployments` that needs little."""
    return {"name": name, "resources": {"cpu": "100m", "memory": "200Mi"}, **options}
