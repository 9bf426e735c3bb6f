"""`status.graph`: the nodes of `spec.graph`, and whether what is below them answers. Pure; part of `status`."""

from __future__ import annotations

from collections.abc import Sequence

from remora_api.v1alpha1 import DeploymentStatus
from remora_api.v1alpha1.graph import Graph, GraphNode, GraphNodeStatus


def graph_status(graph: Graph | None, deployments: Sequence[DeploymentStatus]) -> tuple[GraphNodeStatus, ...]:
    """Return the nodes in their order; nothing without a graph."""
    known = {deployment.name: deployment for deployment in deployments}
    return tuple(_node(graph, node, known) for node in graph.nodes) if graph is not None else ()


def _node(graph: Graph, node: GraphNode, known: dict[str, DeploymentStatus]) -> GraphNodeStatus:
    below = graph.below(node.name)
    waits = [name for name in below if name not in known or not known[name].ready]
    return GraphNodeStatus(
        name=node.name,
        kind=node.kind,
        to=tuple(dict.fromkeys(step.deployment or step.node or "unchanged" for step in node.steps)),
        ready=len(below) - len(waits),
        desired=len(below),
        message=f"no replica answers of {', '.join(waits)}" if waits else "",
    )
