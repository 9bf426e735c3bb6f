"""What stands in a namespace when a test has failed in it: objects, statuses, events, the last lines of each log."""

from __future__ import annotations

from demo.story import SYSTEM
from tests.cluster import Cluster

LINES = 60
PROXY_LINES = 8


def scene(cluster: Cluster, namespace: str) -> str:
    """Return the text to show; a command that fails says so in its place."""
    here = ("-n", namespace)
    parts = [
        _show(cluster, *here, "get", "pods,replicasets,statefulsets", "-o", "wide", "--show-labels"),
        _show(cluster, *here, "get", "sapp", "-o", "yaml"),
        _show(cluster, *here, "get", "events", "--sort-by=.lastTimestamp"),
        _show(cluster, "get", "nodes"),
        _show(
            cluster, "-n", SYSTEM, "logs", "-l", "app.kubernetes.io/component=operator", f"--tail={LINES}", "--prefix"
        ),
    ]
    pods = cluster.kubectl(*here, "get", "pods", "-o", "name", check=False).split()
    for pod in pods:
        lines = PROXY_LINES if "-proxy-" in pod else LINES
        parts.append(_show(cluster, *here, "logs", pod, "--all-containers", "--prefix", f"--tail={lines}"))
        if pod.endswith("-0"):
            asked = ("exec", pod, "-c", "controller", "--", "python", "-m", "remora", "controller-status")
            parts.append(_show(cluster, *here, *asked))
    return "\n".join(parts)


def _show(cluster: Cluster, *arguments: str) -> str:
    return f"── kubectl {' '.join(arguments)}\n{cluster.kubectl(*arguments, check=False)}"
