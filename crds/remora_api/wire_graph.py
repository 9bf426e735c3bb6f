"""The graph of an application on the wire: `Target.graph`. Pure values, parsed once at the edge, as in `wire`."""

from __future__ import annotations

from typing import Any

from msgspec import field

from remora_api.message import Message


class GraphCondition(Message, frozen=True, kw_only=True):
    """What must hold of a value: see `remora.graph.condition`."""

    field: str = ""
    operator: str
    values: tuple[str, ...] = ()


class GraphBranch(Message, frozen=True, kw_only=True):
    """Where a value may go: to a deployment, to a node (the other one is empty), or nowhere: it passes unchanged."""

    deployment: str = ""
    node: str = ""
    unchanged: bool = False
    name: str = ""
    """Key of the result in an ensemble."""
    weight: int = 0
    """In a splitter."""
    when: tuple[GraphCondition, ...] = ()
    """In a switch; empty is always."""


class GraphNode(Message, frozen=True, kw_only=True):
    """One node."""

    name: str
    kind: str
    """sequence, switch, ensemble or splitter."""
    branches: tuple[GraphBranch, ...]


class GraphDeployment(Message, frozen=True, kw_only=True):
    """Where a deployment of the graph comes from, if not from the import path's module under its own name."""

    name: str
    import_path: str
    args: dict[str, Any] = field(default_factory=dict)


class Graph(Message, frozen=True, kw_only=True):
    """How the deployments of the import path's module are combined."""

    root: str
    nodes: tuple[GraphNode, ...]
    deployments: tuple[GraphDeployment, ...] = ()
