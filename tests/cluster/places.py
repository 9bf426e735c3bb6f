"""Places: where everything lies on disk. What is cached survives `down`; what is state does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .topology import Node


@dataclass(frozen=True, slots=True)
class Places:
    cache: Path

    # Cached: built once, or quicker to keep than to make again.

    @property
    def buildah(self) -> Path:
        """Storage of the image builder; a user's own images are elsewhere and left alone."""
        return self.cache / "buildah"

    @property
    def images(self) -> Path:
        """An OCI layout with the images as built, layers not compressed."""
        return self.cache / "images"

    def store(self, node: Node) -> Path:
        """A node's containerd root: loaded images."""
        return self.cache / "stores" / node.name

    @property
    def lock(self) -> Path:
        return self.cache / "lock"

    # State: gone after `down`.

    @property
    def state(self) -> Path:
        return self.cache / "cluster"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def boot(self) -> Path:
        """The machine's boot that the cluster was brought up in."""
        return self.state / "boot"

    @property
    def made(self) -> Path:
        """The folders of the machine that were not there before the cluster."""
        return self.state / "made"

    @property
    def port(self) -> Path:
        """The port on loopback that leads to the API server."""
        return self.state / "port"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def processes(self) -> Path:
        return self.state / "processes"

    @property
    def resolv_conf(self) -> Path:
        """Cluster DNS, for commands that run outside the cluster but on its network."""
        return self.state / "resolv.conf"

    def node(self, node: Node) -> Path:
        return self.state / node.name

    def socket(self, node: Node) -> Path:
        return self.node(node) / "run" / "containerd.sock"
