"""Clearing: leaves nothing of a node behind, whether it was stopped well, killed, or lost in a reboot.

Everything removed here is known as ours by where it is: in our cgroups, below our folder, under our names.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from . import cgroups, processes
from .commands import run
from .places import Places
from .processes import Processes
from .topology import NODES, Node

CNI_RESULTS = Path("/var/lib/cni/results")
CONTAINER_LOGS = Path("/var/log/containers")


def end_processes(places: Places, ours: Processes) -> None:
    """End daemons, then containers and what held them. Kubelets first: they would start containers again."""
    names = tuple(ours.alive())
    kubelets = tuple(name for name in names if name.endswith("kubelet"))
    if kubelets:
        ours.stop(*kubelets)
    for node in NODES:
        processes.kill(processes.find(["-address", str(places.socket(node))]))
        processes.kill(cgroups.processes(node))
    ours.stop()


def remove_traces(places: Places) -> None:
    """Remove mounts, cgroups and files. Nothing of ours runs any more."""
    unmount(places.state)
    for node in NODES:
        unmount(places.store(node))
        cgroups.remove(node)
        _remove_sockets(places.node(node))
        _remove_results(node)
    _remove_links(places.state)
    if places.state.exists():
        shutil.rmtree(places.state)


def unmount(folder: Path) -> None:
    """Unmount everything below the folder, the latest first."""
    for point in reversed(mounts_below(folder, Path("/proc/self/mounts").read_text())):
        run("umount", "--lazy", point)


def mounts_below(folder: Path, table: str) -> list[str]:
    """Mount points below a folder, in the order of the kernel's table, whose spaces are written as octals."""
    points = [line.split()[1].replace("\\040", " ") for line in table.splitlines()]
    return [point for point in points if point.startswith(f"{folder}/")]


def _remove_sockets(folder: Path) -> None:
    """Sockets of killed shims are elsewhere; each shim's folder says where."""
    for address in folder.glob("run/containerd/io.containerd.runtime.v2.task/*/*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)


def _remove_results(node: Node) -> None:
    for result in CNI_RESULTS.glob(f"{node.namespace}-*"):
        result.unlink()


def _remove_links(state: Path) -> None:
    """Kubelets link every log in one folder that cannot be chosen."""
    for link in CONTAINER_LOGS.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{state}/"):
            link.unlink()
