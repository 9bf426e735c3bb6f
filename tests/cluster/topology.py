"""Topology: names and addresses of the cluster. Pure values; every other module takes them from here.

    root namespace ── 127.0.0.1:PORT (socat) ──┐
                                               ▼
      remora-cp   10.77.0.1 on bridge br0: etcd, API server, controller manager, scheduler
        ├── remora-n1  10.77.0.11: containerd, kubelet, kube-proxy; pods 10.244.1.0/24
        └── remora-n2  10.77.0.12: the same; pods 10.244.2.0/24

No interface leads from these namespaces to another network.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONTROL_PLANE = "remora-cp"
CONTROL_PLANE_IP = "10.77.0.1"
API_PORT = 6443
API_URL = f"https://{CONTROL_PLANE_IP}:{API_PORT}"
POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_IP = "10.96.0.10"
RESOLVER = f"""nameserver {DNS_IP}
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
"""
"""The resolv.conf of whoever is to know the cluster's names; kind-config.yaml has the same range of Services."""


@dataclass(frozen=True, slots=True)
class Node:
    """One of the two machines that the cluster believes in."""

    number: int

    @property
    def name(self) -> str:
        return f"n{self.number}"

    @property
    def namespace(self) -> str:
        """Its network namespace; also the name of its cgroup and of its CNI network."""
        return f"remora-n{self.number}"

    @property
    def ip(self) -> str:
        return f"10.77.0.{10 + self.number}"

    @property
    def pods(self) -> str:
        return f"10.244.{self.number}.0/24"


NODES = (Node(1), Node(2))


def within(namespace: str) -> list[str]:
    """What to put before a command for it to run on that network.

    Not `ip netns exec`: it hides the cgroup mounts.
    """
    return ["nsenter", f"--net=/var/run/netns/{namespace}"]


def with_names(resolver: Path, argv: Sequence[str]) -> list[str]:
    """The command with that file as its /etc/resolv.conf, for it and its children alone."""
    bound = f'mount --bind {shlex.quote(str(resolver))} /etc/resolv.conf && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", bound, "sh", *argv]
