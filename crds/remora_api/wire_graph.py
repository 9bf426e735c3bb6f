"""The graph of an application on the wire: `Target.graph`. Pure values, parsed once at the edge, as in `wire`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class GraphCondition(_Wire):
    """What must hold of a value: see `remora.graph.condition`."""

    field: str = ""
    operator: str
    values: tuple[str, ...] = ()


class GraphBranch(_Wire):
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


class GraphNode(_Wire):
    """One node."""

    name: str
    kind: str
    """sequence, switch, ensemble or splitter."""
    branches: tuple[GraphBranch, ...]


class GraphDeployment(_Wire):
    """Where a deployment of the graph comes from, if not from the import path's module under its own name."""

    name: str
    import_path: str
    args: dict[str, Any] = Field(default_factory=dict)


class Graph(_Wire):
    """How the deployments of the import path's module are combined."""

    root: str
    nodes: tuple[GraphNode, ...]
    deployments: tuple[GraphDeployment, ...] = ()
