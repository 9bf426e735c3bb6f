"""What a plan asks for: values that `planner` returns, `events.enact` writes down and `performer` carries out."""

from __future__ import annotations

from dataclasses import dataclass

from remora.controller.state import BuildKey, Deployment, InPlace, NodeId, Seat
from remora.types import ReplicaId
from remora_api.wire import Target


@dataclass(frozen=True, slots=True)
class BuildGraph:
    """Import the target's code on a node."""

    key: BuildKey
    target: Target
    node: NodeId


@dataclass(frozen=True, slots=True)
class Start:
    """Start one replica on a node."""

    replica: ReplicaId
    target: Target
    deployment: Deployment
    node: NodeId
    bundles: tuple[NodeId, ...] = ()
    """Nodes of its placement group's bundles, the replica's own first; empty without a group."""
    seat: Seat | None = None


@dataclass(frozen=True, slots=True)
class Drain:
    """Let a replica finish what it has, and end."""

    replica: ReplicaId
    grace_s: float


@dataclass(frozen=True, slots=True)
class Kill:
    """End a replica now."""

    replica: ReplicaId
    reason: str


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """Give a running replica new settings."""

    replica: ReplicaId
    in_place: InPlace
    settings: str


Action = BuildGraph | Start | Drain | Kill | Reconfigure
