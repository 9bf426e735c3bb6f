"""What the controller knows: targets, graphs, replicas and nodes. The nouns of planner, status and checkpoint.

Pure, frozen values; `events` makes the next World of one and a piece of news.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

from remora.controller.lifecycle import Phase
from remora.types import FIRST_RANK, ReplicaId, ReplicaRank
from remora_api import bundles
from remora_api.autoscaling import Autoscaling
from remora_api.wire import BuildState, Resources, Target
from remora_api.wire_group import Gang, PlacementGroup

NodeId = NewType("NodeId", str)
"""Ray's id of a node."""
BuildKey = NewType("BuildKey", str)
"""Stands for all that goes into a graph: see `versions.build_key`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltDeployment:
    """One deployment as its code describes it."""

    name: str
    definition: str
    """Digest under which the opaque bytes (class and arguments) are served."""
    replicas: int = 1
    autoscaling: Autoscaling | None = None
    max_ongoing_requests: int = 5
    max_queued_requests: int = -1
    user_config: Any = None
    resources: Resources = field(default_factory=Resources)
    env: Mapping[str, str] = field(default_factory=dict)
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    spread: bool = True
    max_replicas_per_node: int | None = None
    group: PlacementGroup | None = None
    gang: Gang | None = None
    has_actors: bool = False
    """Whether its replicas share actors."""
    rolling_update_percentage: float | None = None
    max_surge_percent: int | None = None
    max_constructor_retry_count: int | None = None
    graceful_shutdown_timeout_s: float = 20.0
    health_check_period_s: float = 10.0
    health_check_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Graph:
    """What a build made of an import path."""

    ingress: str
    deployments: tuple[BuiltDeployment, ...]


@dataclass(frozen=True, slots=True)
class Build:
    """How far one build is."""

    state: BuildState
    graph: Graph | None = None
    message: str = ""
    failures: int = 0
    since: float = 0
    """When it came into its state, or was tried last."""
    is_running: bool = False
    """A failed one is tried again from time to time, and stays failed until that goes well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlace:
    """Settings that reach a running replica without a restart."""

    max_ongoing_requests: int
    user_config: Any
    graceful_shutdown_timeout_s: float
    health_check_period_s: float
    health_check_timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deployment as it has to be: what the code says under what the resource says."""

    name: str
    ingress: bool
    count: int
    reason: str
    """Where the count comes from."""
    autoscaling: Autoscaling | None
    version: str
    definition: str
    resources: Resources
    env: Mapping[str, str]
    """Added to the environment of its application's replicas."""
    runtime_env: Mapping[str, Any]
    """What Ray sets up for its replicas' processes: modules, packages."""
    spread: bool
    max_replicas_per_node: int | None
    """None is no limit."""
    group: PlacementGroup | None = None
    """What each replica reserves; its own `resources` are part of the first bundle."""
    gang: Gang | None = None
    """Which replicas are placed together, and restarted together."""
    has_actors: bool
    rolling_update_percentage: float | None
    """Part of the replicas that a rollout replaces at a time: above 0, at most 1."""
    max_surge_percent: int | None
    max_constructor_retry_count: int | None
    """Starts that fail in a row after which waiting will not help."""
    max_queued_requests: int
    in_place: InPlace
    settings: str
    """Digest of `in_place`."""

    @property
    def parts(self) -> tuple[Resources, ...]:
        """What one replica takes of its nodes, each part of one node."""
        return bundles.of(self.group) if self.group is not None else (self.resources,)

    @property
    def needs(self) -> Resources:
        """What one replica takes in all."""
        return bundles.total(self.parts) if self.group is not None else self.resources


@dataclass(frozen=True, slots=True)
class Scaled:
    """What autoscaling decided last for one deployment."""

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Serving:
    """The last target of an application whose graph could be built: the one that replicas are made of."""

    target: Target
    graph: Graph
    scaled: Mapping[str, Scaled] = field(default_factory=dict)
    """By deployment, for those that are autoscaled."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bundle of a replica's placement group, on the node that was chosen for it."""

    node: NodeId
    resources: Resources


@dataclass(frozen=True, slots=True)
class Seat:
    """A replica's place in its gang."""

    gang: str
    rank: int
    members: tuple[ReplicaId, ...]
    """All of the gang, by rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One replica, from the decision to start it until Ray says that it is dead."""

    id: ReplicaId
    application: str
    deployment: str
    revision: str
    version: str
    settings: str
    """Digest of the InPlace settings that it was last given."""
    resources: Resources
    node: NodeId
    phase: Phase
    started_at: float
    since: float
    """When it came into its phase."""
    ingress: bool = False
    grace_s: float = 20.0
    """How long it may drain."""
    host: str = ""
    port: int = 0
    rank: ReplicaRank = FIRST_RANK
    slow: str = ""
    """Why it is still starting, once that has taken long."""
    bundles: tuple[Bundle, ...] = ()
    """Of its placement group: it runs in the first, on `node`. Without a group it holds its `resources`."""

    seat: Seat | None = None
    """None for a replica that is on its own."""

    @property
    def nodes(self) -> frozenset[NodeId]:
        """All nodes that it holds something of."""
        return frozenset((self.node, *(bundle.node for bundle in self.bundles)))

    @property
    def needs(self) -> Resources:
        """What it holds in all."""
        return bundles.total(bundle.resources for bundle in self.bundles) if self.bundles else self.resources

    @property
    def is_ready(self) -> bool:
        """Whether routes name it."""
        return self.phase is Phase.RUNNING

    @property
    def is_leaving(self) -> bool:
        """Whether it will be gone without further decision."""
        return self.phase in (Phase.DRAINING, Phase.FAILED, Phase.STOPPING)

    def __repr__(self) -> str:
        return f"<Replica {self.id} {self.phase} {self.version}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One Ray node that may hold replicas: a worker pod, or this machine in local mode."""

    id: NodeId
    name: str
    """The pod's name; `drain_nodes` means it."""
    host: str
    """The machine below it; replicas are spread over these."""
    group: str = ""
    template: str = ""
    cpu_milli: int | None = None
    """None is not counted."""
    bundles_only: bool = False
    """Its CPUs are counted for placement groups alone: to Ray, replicas without one take none."""
    memory_bytes: int | None = None
    custom: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    """Ray's own of the node, which selectors of bundles mean."""


@dataclass(frozen=True, slots=True)
class Crashes:
    """Starts of one version of a deployment that failed in a row."""

    count: int
    last_at: float
    message: str
    hung: bool = False
    """One of them used up all the time that a start has: waiting for more of that will not help."""


CrashKey = tuple[str, str, str]
"""Application, deployment, version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that a plan is made from, but the time."""

    targets: Mapping[str, Target] = field(default_factory=dict)
    serving: Mapping[str, Serving] = field(default_factory=dict)
    builds: Mapping[BuildKey, Build] = field(default_factory=dict)
    replicas: Mapping[ReplicaId, Replica] = field(default_factory=dict)
    nodes: Mapping[NodeId, Node] = field(default_factory=dict)
    crashes: Mapping[CrashKey, Crashes] = field(default_factory=dict)
    departing: Mapping[NodeId, float] = field(default_factory=dict)
    """Nodes that are about to go, as their replicas or Ray said, with the moment when that was."""

    @property
    def draining_nodes(self) -> frozenset[NodeId]:
        """Nodes that a target wants emptied, and those that are about to go: nothing is placed there."""
        names = {name for target in self.targets.values() for name in target.drain_nodes}
        asked = {node.id for node in self.nodes.values() if node.name in names}
        return frozenset(asked | self.departing.keys())
