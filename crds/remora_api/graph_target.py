"""From `spec.graph` to the graph on the wire. Pure; part of `target`."""

from __future__ import annotations

from remora_api import wire_graph
from remora_api.v1alpha1 import graph as spec


def graph_from(given: spec.Graph | None) -> wire_graph.Graph | None:
    """Return the graph as the controller and the build get it."""
    if given is None:
        return None
    return wire_graph.Graph(
        root=given.root,
        nodes=tuple(
            wire_graph.GraphNode(name=node.name, kind=node.kind, branches=tuple(_branch(step) for step in node.steps))
            for node in given.nodes
        ),
        deployments=tuple(
            wire_graph.GraphDeployment(name=one.name, import_path=one.import_path, args=one.args)
            for one in given.deployments
        ),
    )


def _branch(step: spec.GraphStep) -> wire_graph.GraphBranch:
    return wire_graph.GraphBranch(
        deployment=step.deployment or "",
        node=step.node or "",
        unchanged=bool(step.unchanged),
        name=step.name if isinstance(step, spec.GraphMember) else "",
        weight=step.weight if isinstance(step, spec.GraphShare) else 0,
        when=tuple(
            wire_graph.GraphCondition(field=one.field, operator=one.operator.value, values=one.values)
            for one in (step.when if isinstance(step, spec.GraphCase) else ())
        ),
    )
