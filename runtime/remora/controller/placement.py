"""Placement: the node for one new replica.

Pure. The planner calls it once for each start, with what it has placed before in the same plan. Ray is told the node
and decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from remora.controller.state import Node, NodeId, Replica
from remora_api.wire import GroupTarget, Resources

_EPSILON = 1e-9


def eligible(
    nodes: Mapping[NodeId, Node], groups: Sequence[GroupTarget], leaving: frozenset[NodeId]
) -> tuple[Node, ...]:
    """Return the nodes that may take replicas of a target: of its groups (any, when it names none) and not leaving."""
    wanted = {(group.name, group.template) for group in groups}
    return tuple(
        node
        for node in nodes.values()
        if node.id not in leaving and (not wanted or (node.group, node.template) in wanted)
    )


def choose(
    nodes: Sequence[Node],
    replicas: Iterable[Replica],
    application: str,
    deployment: str,
    needs: Resources,
    spread: bool,
    per_node: int | None = None,
) -> Node | None:
    """Return the node for a new replica, or None when it fits on none.

    With `spread`, the machine with the fewest replicas of the deployment comes first, then the node with the fewest.
    Equals are filled up one after the other, so that others stay empty and can be taken away. A replica that is
    leaving still holds its resources, but does not count as spread: it will not be there when it matters. It does count
    where a node may hold no more than `per_node` of the deployment.
    """
    replicas = list(replicas)
    held = holdings(nodes, replicas)
    full = full_nodes((r for r in replicas if (r.application, r.deployment) == (application, deployment)), per_node)
    return next(
        (
            node
            for node in ranked(nodes, replicas, application, deployment, spread)
            if node.id not in full and takes(own(needs, node), node, held[node.id])
        ),
        None,
    )


def ranked(
    nodes: Sequence[Node], replicas: Iterable[Replica], application: str, deployment: str, spread: bool
) -> list[Node]:
    """Return the nodes in the order in which a new replica of a deployment chooses them, whether it fits or not."""
    there: dict[NodeId, list[Replica]] = {node.id: [] for node in nodes}
    for replica in replicas:
        if replica.node in there:
            there[replica.node].append(replica)
    same = {
        node.id: sum(
            r.application == application and r.deployment == deployment and not r.is_leaving for r in there[node.id]
        )
        for node in nodes
    }
    on_host: dict[str, int] = {}
    for node in nodes:
        on_host[node.host] = on_host.get(node.host, 0) + same[node.id]

    def rank(node: Node) -> tuple[int, int, int, str]:
        apart = (on_host[node.host], same[node.id]) if spread else (0, 0)
        return (*apart, -len(there[node.id]), node.name)

    return sorted(nodes, key=rank)


def holdings(nodes: Iterable[Node], replicas: Iterable[Replica]) -> dict[NodeId, list[Resources]]:
    """Return what is held of each of these nodes."""
    known = {node.id: node for node in nodes}
    held: dict[NodeId, list[Resources]] = {id_: [] for id_ in known}
    for replica in replicas:
        for bundle in replica.bundles:
            if bundle.node in held:
                held[bundle.node].append(bundle.resources)
        if not replica.bundles and replica.node in held:
            held[replica.node].append(own(replica.resources, known[replica.node]))
    return held


def own(needs: Resources, node: Node) -> Resources:
    """Return what a replica without a placement group takes of a node, as it counts there."""
    return needs.but(cpu_milli=0) if node.bundles_only else needs


def full_nodes(members: Iterable[Replica], per_node: int | None) -> frozenset[NodeId]:
    """Return the nodes that hold as many of a deployment's replicas as one may, leaving ones included."""
    if per_node is None:
        return frozenset()
    held = Counter(replica.node for replica in members)
    return frozenset(node for node, count in held.items() if count >= per_node)


def is_full(nodes: Iterable[Node], members: Iterable[Replica], per_node: int | None) -> bool:
    """Tell whether all of these nodes hold as many of a deployment's replicas as one may."""
    return {node.id for node in nodes} <= full_nodes(members, per_node)


def by_worth(replicas: Iterable[Replica], nodes: Mapping[NodeId, Node], spread: bool) -> list[Replica]:
    """Return a deployment's replicas, those to be kept longest first.

    Without `spread` those that serve, the oldest first. With it, one of each machine comes before all others, then one
    of each node, even when it has only been started: what is left after scaling down is spread, too.
    """
    oldest = sorted(replicas, key=lambda replica: (not replica.is_ready, replica.started_at))
    if not spread:
        return oldest
    beside: dict[str, int] = {}
    held: set[NodeId] = set()
    ranks: dict[str, tuple[bool, bool, bool, int]] = {}
    for replica in oldest:
        host = _host(replica, nodes)
        ranks[replica.id] = (host in beside, replica.node in held, not replica.is_ready, beside.get(host, 0))
        beside[host] = beside.get(host, 0) + 1
        held.add(replica.node)
    return sorted(oldest, key=lambda replica: ranks[replica.id])


def misplaced(
    current: Sequence[Replica], nodes: Sequence[Node], replicas: Iterable[Replica], needs: Resources
) -> Replica | None:
    """Return the replica that should move: all of its deployment are on one machine, or on one node, and need not be.

    They came there while it was the only one. One that moves is enough; another machine is better than another node.
    Those whose bundles are on several nodes stay.
    """
    known = {node.id: node for node in nodes}
    hosts = {_host(replica, known) for replica in current}
    if len(current) < 2 or len(hosts) > 1 or not all(replica.is_ready for replica in current):
        return None
    if any(len(replica.nodes) > 1 for replica in current):
        return None
    taken = {replica.node for replica in current}
    others = [it for it in nodes if it.host not in hosts or (len(taken) == 1 and it.id not in taken)]
    held = holdings(others, replicas)
    if any(takes(needs if current[0].bundles else own(needs, it), it, held[it.id]) for it in others):
        return max(current, key=lambda replica: (replica.started_at, replica.id))
    return None


def _host(replica: Replica, nodes: Mapping[NodeId, Node]) -> str:
    node = nodes.get(replica.node)
    return node.host if node is not None else replica.node


def takes(needs: Resources, node: Node, held: Sequence[Resources]) -> bool:
    """Tell whether a node has room beside what is held of it."""
    if node.cpu_milli is not None and sum(r.cpu_milli for r in held) + needs.cpu_milli > node.cpu_milli:
        return False
    if node.memory_bytes is not None and sum(r.memory_bytes for r in held) + needs.memory_bytes > node.memory_bytes:
        return False
    return all(
        sum(r.custom.get(name, 0) for r in held) + amount <= node.custom.get(name, 0) + _EPSILON
        for name, amount in needs.custom.items()
    )
