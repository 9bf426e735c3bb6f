"""Store: the images that a node's containerd holds, and the containers that it forgets between two lives.

A store outlives the cluster, so that `up` need not load images again. What it must not
outlive is the list of containers: `purge` empties it while nothing of the node runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .commands import ClusterError, run, succeeds
from .node import write
from .places import Places
from .processes import Daemon, Processes
from .topology import Node
from .waiting import until

# Kubernetes' images and containers are in this namespace of containerd; nothing else is in any other.
NAMESPACE = "k8s.io"


def ctr(node: Node, places: Places, *words: str, input: bytes | None = None) -> str:
    """Ask the node's containerd."""
    return run("ctr", "--address", places.socket(node), "--namespace", NAMESPACE, *words, input=input)


def answers(node: Node, places: Places) -> bool:
    return places.socket(node).exists() and succeeds("ctr", "--address", places.socket(node), "version")


def digests(node: Node, places: Places) -> dict[str, str]:
    """Name and digest of every image that the node holds."""
    lines = [line.split() for line in ctr(node, places, "images", "list").splitlines()[1:]]
    return {line[0]: line[2] for line in lines if len(line) > 2}


def blobs(node: Node, places: Places) -> frozenset[str]:
    return frozenset(ctr(node, places, "content", "list", "--quiet").split())


@contextmanager
def kept(node: Node, places: Places, name: str | None) -> Iterator[None]:
    """Keep what an image is made of while a later one takes over its name.

    containerd moves the name first and unpacks afterwards; in between its collector would
    remove the layers that both share, from under the new one.
    """
    if name is None:
        yield
        return
    previous = f"{name}-previous"
    ctr(node, places, "images", "tag", "--force", name, previous)
    try:
        yield
    finally:
        ctr(node, places, "images", "remove", "--sync", previous)


def purge(node: Node, places: Places, processes: Processes) -> None:
    """Forget every container. A store that cannot be read any more is thrown away: it can be had again."""
    if not places.store(node).exists():
        return
    write(node, places)
    daemon = Daemon(f"{node.name}-purge", ("containerd", f"--config={places.node(node) / 'purge.toml'}"))
    processes.ensure(daemon)
    try:
        until(lambda: answers(node, places), what=f"containerd of {node.name} answers", timeout_s=15)
        containers = ctr(node, places, "containers", "list", "--quiet").split()
        if containers:
            ctr(node, places, "containers", "delete", *containers)
    except ClusterError:
        processes.stop(daemon.name)
        throw_away(places.store(node))
    finally:
        processes.stop(daemon.name)


def throw_away(store: Path) -> None:
    shutil.rmtree(store)
