"""The proving ground as a place for the demo: the real Kubernetes of tests/cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.access import CommandFailed
from demo.screen import step
from tests.cluster import Cluster, ClusterError, running

ROOT = Path(__file__).parent.parent
IMAGES = {
    "image.repository": "remora.dev/operator",
    "image.tag": "dev",
    "runtimeImage.repository": "remora.dev/runtime",
    "runtimeImage.tag": "dev",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """Access to the proving ground; its own kubeconfig, so that no other cluster can be meant."""

    cluster: Cluster

    @property
    def kubectl_hint(self) -> str:
        return ".venv/bin/python -m tests.cluster kubectl"

    def kubectl(self, *arguments: str) -> str:
        try:
            return self.cluster.kubectl(*arguments)
        except ClusterError as error:
            raise CommandFailed(str(error)) from error

    def helm(self, *arguments: str) -> str:
        try:
            return self.cluster.helm(*arguments)
        except ClusterError as error:
            raise CommandFailed(str(error)) from error

    def images(self) -> dict[str, str]:
        """Build what changed and load it into both nodes."""
        try:
            self.cluster.reload()
        except ClusterError as error:
            raise CommandFailed(str(error)) from error
        return IMAGES | {r"podAnnotations.remora\.dev/sources": sources_digest(ROOT)}

    @contextmanager
    def outside(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """Lead a loopback port to the Service's cluster address."""
        with self.cluster.forward(namespace, service, port) as local:
            yield f"http://127.0.0.1:{local}"


def sources_digest(root: Path) -> str:
    """Return a digest of the operator's sources: its tag stays `dev`, so this is what makes Helm roll its pods."""
    digest = hashlib.sha256()
    for folder in ("crds/remora_api", "operator"):
        for path in sorted(
            it for it in (root / folder).rglob("*") if it.suffix in {".py", ".lock", ""} and it.is_file()
        ):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def missing() -> str | None:
    """Return why this machine cannot host the proving ground, or None."""
    return running().missing()


def reach(*, create: bool) -> Ground:
    """Return access to the proving ground, bringing it up where `create`; raises CommandFailed."""
    cluster = running()
    if create:
        with step("cluster: etcd, API server, scheduler, two nodes (the first time builds them, about 10 minutes)"):
            try:
                cluster.up()
            except ClusterError as error:
                raise CommandFailed(str(error)) from error
    return Ground(cluster)


def is_up() -> bool:
    """Return whether the proving ground stands, with every part of it alive."""
    return running().is_up()


def down() -> None:
    """Take the proving ground down, or what is left of it; raises CommandFailed."""
    with step("cluster: down"):
        try:
            running().down()
        except ClusterError as error:
            raise CommandFailed(str(error)) from error
