"""The clusters of tests/cluster as places for the demo: kind, and the proving ground."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from demo.access import CommandFailed
from demo.screen import step
from tests.cluster import Cluster, ClusterError, running
from tests.cluster.settings import Settings

STEPS = {
    "kind": "cluster: kind with kind-config.yaml (the first time fetches its node image)",
    "bare": "cluster: etcd, API server, scheduler, two nodes (the first time builds them, about 10 minutes)",
}
ROOT = Path(__file__).parent.parent
IMAGES = {
    "image.repository": "remora.dev/operator",
    "image.tag": "dev",
    "runtimeImage.repository": "remora.dev/runtime",
    "runtimeImage.tag": "dev",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """Access to a cluster of tests/cluster; its own kubeconfig, so that no other cluster can be meant."""

    cluster: Cluster

    @property
    def kubectl_hint(self) -> str:
        return ".venv/bin/python -m tests.cluster kubectl"

    @property
    def place_hint(self) -> str:
        return ""

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
        """Build what changed and load it into the nodes."""
        try:
            self.cluster.reload()
        except ClusterError as error:
            raise CommandFailed(str(error)) from error
        return IMAGES | {r"podAnnotations.remora\.dev/sources": sources_digest(ROOT)}

    @contextmanager
    def outside(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """Lead a loopback port to the Service."""
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


def missing(backend: str) -> str | None:
    """Return why this machine cannot host a cluster by `backend`, `kind` or `bare`; None when it can."""
    asked = Settings.read().backend
    if asked and asked != backend:
        return f"REMORA_CLUSTER={asked} is set"
    return _cluster(backend).missing()


def reach(backend: str, *, create: bool) -> Ground:
    """Return access to the cluster of that backend, bringing it up where `create`; raises CommandFailed."""
    cluster = _cluster(backend)
    if create:
        with step(STEPS[backend]):
            try:
                cluster.up()
            except ClusterError as error:
                raise CommandFailed(str(error)) from error
    return Ground(cluster)


def is_up(backend: str) -> bool:
    """Return whether that cluster stands, with every part of it alive; raises CommandFailed."""
    try:
        return _cluster(backend).is_up()
    except ClusterError as error:
        raise CommandFailed(str(error)) from error


def down(backend: str) -> None:
    """Take that cluster down, or what is left of it; raises CommandFailed."""
    with step("cluster: down"):
        try:
            _cluster(backend).down()
        except ClusterError as error:
            raise CommandFailed(str(error)) from error


def _cluster(backend: str) -> Cluster:
    return running(replace(Settings.read(), backend=backend))
