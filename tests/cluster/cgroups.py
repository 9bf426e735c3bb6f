"""Cgroups: one tree per node, made before its kubelet starts.

Two kubelets that share a tree delete each other's pods.
"""

from __future__ import annotations

from pathlib import Path

from .topology import Node
from .waiting import until

ROOT = Path("/sys/fs/cgroup")


def is_v2() -> bool:
    return (ROOT / "cgroup.controllers").is_file()


def create(node: Node) -> None:
    """Make the node's tree in every hierarchy."""
    if is_v2():
        controllers = (ROOT / "cgroup.controllers").read_text().split()
        (ROOT / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
    for tree in trees(node):
        tree.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # Version 1 starts these empty, and then admits nobody.
            if not is_v2() and (tree / setting).exists():
                (tree / setting).write_text((tree.parent / setting).read_text())


def processes(node: Node) -> set[int]:
    """Whoever runs in the node's tree: its containers."""
    files = [file for tree in trees(node) if tree.is_dir() for file in tree.rglob("cgroup.procs")]
    return {int(pid) for file in files for pid in file.read_text().split()}


def remove(node: Node) -> None:
    """Remove the node's tree, which nobody runs in any more."""
    for tree in trees(node):
        if tree.is_dir():
            until(lambda tree=tree: _remove(tree), what=f"{tree} goes away", timeout_s=5)  # type: ignore[misc]  # mypy knows no defaults of lambdas


def trees(node: Node) -> list[Path]:
    """Where the node's tree is in each hierarchy, there or not."""
    if is_v2():
        return [ROOT / node.namespace]
    # Not only version 1: runc also uses the hierarchy of version 2 that may be mounted beside it.
    return [folder / node.namespace for folder in ROOT.iterdir() if (folder / "cgroup.procs").is_file()]


def _remove(tree: Path) -> bool:
    """Remove folders from the leaves up; the kernel may need a moment after the last process."""
    for folder in sorted((path for path in tree.rglob("*") if path.is_dir()), reverse=True):
        if not _rmdir(folder):
            return False
    return _rmdir(tree)


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
