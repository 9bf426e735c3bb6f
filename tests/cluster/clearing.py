"""Clearing: leaves nothing of a node behind, whether it was stopped well, killed, or lost in a reboot.

Everything removed here is known as ours by where it is: in our cgroups, below our folder, under our names.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from . import cgroups, network, processes
from .commands import run
from .places import Places
from .processes import Processes
from .topology import NODES, Node

CNI_RESULTS = Path("/var/lib/cni/results")
CONTAINER_LOGS = Path("/var/log/containers")
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
# Where containerd and kubelets write whatever they are told; a real node's are the same, and are left alone.
SHARED = (Path("/var/lib/cni"), CONTAINER_LOGS, DEVICE_PLUGINS.parent, Path("/run/containerd"))


def end_processes(places: Places, ours: Processes) -> None:
    """End daemons, then containers and what held them.

    Kubelets first: they would start containers again. containerd before its shims: it would
    tidy up after them, and what it removes tells where their sockets are.
    """
    kubelets = tuple(name for name in ours.alive() if name.endswith("kubelet"))
    if kubelets:
        ours.stop(*kubelets, patience_s=1)
    ours.stop(patience_s=1)  # No need to end well: what they would save is removed next.
    for node in NODES:
        sockets = _shim_sockets(places.node(node))
        processes.kill(processes.find(["-address", str(places.socket(node))]))
        processes.kill(cgroups.processes(node))
        for socket in sockets:
            socket.unlink(missing_ok=True)


def remember_folders(places: Places) -> None:
    """Note which folders the cluster is about to make outside its own, to remove them one day."""
    if not places.made.exists():
        places.made.write_text("".join(f"{folder}\n" for folder in SHARED if not folder.exists()))


def remove_traces(places: Places) -> None:
    """Remove mounts, cgroups and files. Nothing of ours runs any more."""
    unmount(places.state)
    for node in NODES:
        unmount(places.store(node))
        cgroups.remove(node)
        _remove_results(node)
    unmount(places.buildah)
    _remove_links(places.state)
    _remove_folders(places.made)
    if places.state.exists():
        shutil.rmtree(places.state)


def leftovers(places: Places) -> list[str]:
    """What is still there that a cleared cluster must not leave, in words; caches are no part of it."""
    table = Path("/proc/self/mounts").read_text()
    folders = (places.state, places.buildah, *(places.store(node) for node in NODES))
    trees = [tree for node in NODES for tree in cgroups.trees(node) if tree.is_dir()]
    shims = [pid for node in NODES for pid in processes.find(["-address", str(places.socket(node))])]
    # Whoever asks the cluster something just now, by its kubeconfig, ends by himself.
    daemons = processes.told_of(places.state, but=places.kubeconfig)
    return [
        *(f"process {pid}" for pid in sorted({*shims, *daemons})),
        *(f"mount {point}" for folder in folders for point in mounts_below(folder, table)),
        *(f"network namespace {name}" for name in network.left()),
        *(f"cgroup {tree}" for tree in trees),
        *([f"folder {places.state}"] if places.state.exists() else []),
    ]


def unmount(folder: Path) -> None:
    """Unmount everything below the folder, the latest first."""
    for point in reversed(mounts_below(folder, Path("/proc/self/mounts").read_text())):
        run("umount", "--lazy", point)


def mounts_below(folder: Path, table: str) -> list[str]:
    """Mount points below a folder, in the order of the kernel's table, whose spaces are written as octals."""
    points = [line.split()[1].replace("\\040", " ") for line in table.splitlines()]
    return [point for point in points if point.startswith(f"{folder}/")]


def _shim_sockets(folder: Path) -> list[Path]:
    """Shims have their sockets elsewhere; each one's folder says where."""
    addresses = folder.glob("run/containerd/io.containerd.runtime.v2.task/*/*/address")
    return [Path(address.read_text().removeprefix("unix://")) for address in addresses]


def _remove_results(node: Node) -> None:
    for result in CNI_RESULTS.glob(f"{node.namespace}-*-eth0"):
        sandbox = result.name.removeprefix(f"{node.namespace}-").removesuffix("-eth0")
        result.with_name(f"cni-loopback-{sandbox}-lo").unlink(missing_ok=True)
        result.unlink()


def _remove_links(state: Path) -> None:
    """Kubelets link every log in one folder that cannot be chosen."""
    for link in CONTAINER_LOGS.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{state}/"):
            link.unlink()


def _remove_folders(made: Path) -> None:
    """Remove the folders that came with the cluster, unless somebody else has put something there since."""
    folders = [Path(line) for line in made.read_text().splitlines()] if made.exists() else []
    if DEVICE_PLUGINS.parent in folders:
        (DEVICE_PLUGINS / "kubelet.sock").unlink(missing_ok=True)
    for folder in folders:
        for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
            _remove_if_empty(path)
        _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
