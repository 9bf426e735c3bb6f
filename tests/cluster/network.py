"""Network: three namespaces and the wires between them, as drawn in `topology`.

Nothing here leads out: what runs inside reaches the cluster and nothing else.
"""

from __future__ import annotations

from pathlib import Path

from .commands import run
from .topology import CONTROL_PLANE, CONTROL_PLANE_IP, NODES, SERVICE_RANGE, Node, within

NAMESPACES = (CONTROL_PLANE, *(node.namespace for node in NODES))
MOUNTS = Path("/var/run/netns")


def is_up() -> bool:
    return all((MOUNTS / name).exists() for name in NAMESPACES)


def is_there() -> bool:
    return bool(left())


def left() -> list[str]:
    """The namespaces that are there."""
    return [name for name in NAMESPACES if (MOUNTS / name).exists()]


def create() -> None:
    """Make namespaces, bridge, wires and routes. None of them may exist: of half a network, `remove` the rest first."""
    for name in NAMESPACES:
        run("ip", "netns", "add", name)
        _ip(name, "link", "set", "lo", "up")
        run(*within(name), "sysctl", "-qw", "net.ipv4.ip_forward=1")
    _ip(CONTROL_PLANE, "link", "add", "br0", "type", "bridge")
    _ip(CONTROL_PLANE, "address", "add", f"{CONTROL_PLANE_IP}/24", "dev", "br0")
    _ip(CONTROL_PLANE, "link", "set", "br0", "up")
    for node in NODES:
        _plug_in(node)
    # Services, for clients outside the cluster: node 1 translates the address and hides theirs.
    _ip(CONTROL_PLANE, "route", "add", SERVICE_RANGE, "via", NODES[0].ip)


def remove() -> None:
    """Remove what is there of it; a namespace takes its interfaces along."""
    for name in NAMESPACES:
        if (MOUNTS / name).exists():
            run("ip", "netns", "delete", name)


def _plug_in(node: Node) -> None:
    _ip(CONTROL_PLANE, "link", "add", node.name, "type", "veth", "peer", "name", "eth0", "netns", node.namespace)
    _ip(CONTROL_PLANE, "link", "set", node.name, "master", "br0", "up")
    _ip(CONTROL_PLANE, "route", "add", node.pods, "via", node.ip)
    _ip(node.namespace, "address", "add", f"{node.ip}/24", "dev", "eth0")
    _ip(node.namespace, "link", "set", "eth0", "up")
    _ip(node.namespace, "route", "add", "default", "via", CONTROL_PLANE_IP)
    for other in NODES:
        if other != node:
            _ip(node.namespace, "route", "add", other.pods, "via", other.ip)
    # Answers between two pods of one node cross its bridge: a Service's address is put back only if it looks.
    run(*within(node.namespace), "sysctl", "-qw", "--ignore", "net.bridge.bridge-nf-call-iptables=1")


def _ip(namespace: str, *words: str) -> None:
    run("ip", "-n", namespace, *words)
