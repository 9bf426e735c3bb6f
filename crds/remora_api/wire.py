"""The wire between Remora's processes: what the operator, the controller, proxies and replicas tell each other.

Pure values, parsed once at the edge. JSON with the field names below; unknown fields are ignored, so that an operator
of one version and a controller of the one before understand each other.

============================  ==========================================================  =================
who → whom                    request                                                      key
============================  ==========================================================  =================
operator → controller         ``PUT /v1/targets/{application}`` Target                     control
operator → controller         ``DELETE /v1/targets/{application}``                         control
operator → controller         ``GET /v1/status?epoch=E&after=N&timeout_s=T`` ControllerStatus  control
proxy, replica → controller   ``GET /v1/routes?epoch=E&after=N&timeout_s=T`` RoutesSnapshot    data
proxy, replica → controller   ``POST /v1/loads`` LoadReport, while something is autoscaled     data
replica → controller          ``GET /v1/applications`` ApplicationsSnapshot, for ``serve.status()``  data
replica → controller          ``GET /v1/definitions/{digest}`` bytes (an opaque definition)    data
replica → controller          ``GET /v1/code/{digest}`` CodeBundle                          data
operator → proxy              ``PUT /v1/routing`` Routing                                   proxy
operator → proxy              ``GET /v1/activity?epoch=E&after=N&timeout_s=T`` ProxyActivity   proxy
operator → proxy              ``GET /v1/figures`` ProxyFigures                              proxy
anyone → any of them          ``GET /healthz``, ``GET /readyz``                             none
============================  ==========================================================  =================

Long polls: the answer comes at once when ``epoch`` differs from the controller's own (it started anew and counts from
1 again) or its version is above ``after``; else when the version moves, or as ``204`` after at most ``timeout_s``
seconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import field

from remora_api.autoscaling import Autoscaling, Policy
from remora_api.message import Message
from remora_api.wire_graph import Graph
from remora_api.wire_group import PlacementGroup

# ── operator → controller ────────────────────────────────────────────────────────────────────────────────────────


class Resources(Message, frozen=True, kw_only=True):
    """What one replica needs of its node."""

    cpu_milli: int = 1000
    memory_bytes: int = 0
    """0 means unlimited."""
    custom: dict[str, float] = field(default_factory=dict)
    """Other Ray resources by Ray's names: ``{"GPU": 1}``."""

    @property
    def size(self) -> tuple[float, int, int]:
        """What orders replicas by how hard it is to find a place for them: operator and controller pack alike."""
        return (sum(self.custom.values()), self.cpu_milli, self.memory_bytes)


class DeploymentOverride(Message, frozen=True, kw_only=True):
    """What the resource says of one deployment, over what its code says. None leaves the code's value."""

    name: str
    replicas: int | None = None
    autoscaling: Autoscaling | None = None
    max_ongoing_requests: int | None = None
    max_queued_requests: int | None = None
    user_config: Any = None
    has_user_config: bool = False
    resources: Resources | None = None
    env: dict[str, str] | None = None
    runtime_env: dict[str, Any] | None = None
    """What Ray sets up for its replicas' processes, without variables. Local mode only: pods have an image."""
    spread: bool | None = None
    max_replicas_per_node: int | None = None
    group: PlacementGroup | None = None
    """What each replica reserves, in the place of the code's."""
    rolling_update_percentage: float | None = None
    """As the next two: of Serve config files, thus in local mode only; above 0, at most 1."""
    max_surge_percent: int | None = None
    max_constructor_retry_count: int | None = None
    max_surge: int | None = None
    max_unavailable: int | None = None
    graceful_shutdown_timeout_s: float | None = None
    health_check_period_s: float | None = None
    health_check_timeout_s: float | None = None


class CodeBundle(Message, frozen=True, kw_only=True):
    """User code laid over the image: file names relative to the import root, with their text."""

    digest: str
    files: dict[str, str]


class GroupTarget(Message, frozen=True, kw_only=True):
    """One worker group as the revision wants it: replicas go to nodes with this name and template digest."""

    name: str
    template: str


class Target(Message, frozen=True, kw_only=True):
    """What one application has to become. The operator writes it; the controller keeps and follows it."""

    application: str
    generation: int
    """``metadata.generation`` of the resource that this was made from; echoed in the status."""
    revision: str
    """Name of the revision: changes when replicas must be replaced."""
    import_path: str
    args: dict[str, Any] = field(default_factory=dict)
    graph: Graph | None = None
    """How deployments of the module that ``import_path`` then names are combined."""
    code: CodeBundle | None = None
    deployments: tuple[DeploymentOverride, ...] = ()
    ingress_replicas: int | None = None
    """``spec.replicas``, for the ingress deployment unless ``deployments`` says otherwise."""
    groups: tuple[GroupTarget, ...] = ()
    """Empty in local mode: any node will do."""
    max_surge: int = 1
    max_unavailable: int = 0
    autoscaling_policy: Policy | None = None
    """Decides for all autoscaled deployments together, instead of the load and of policies of their own."""
    scaled: dict[str, int] = field(default_factory=dict)
    """What autoscaling decided last, by deployment: a controller of another Ray cluster goes on from there."""
    at_least: dict[str, int] = field(default_factory=dict)
    """Replicas that serve meanwhile in another Ray cluster, by deployment: autoscaling has no fewer here, however few
    requests come yet, until requests have moved."""
    asleep: bool = False
    """Nobody asks: no replicas until it is false again."""
    drain_nodes: tuple[str, ...] = ()
    """Names of worker pods that the operator wants to take away: nothing new goes there, what is there moves."""
    make_room: tuple[str, ...] = ()
    """Deployments that lack replicas though all pods are there that the replicas need: what is in their way, and fits
    elsewhere, moves."""
    env: dict[str, str] = field(default_factory=dict)
    """Local mode only, in which applications share a machine: environment of its replicas. Pods have theirs already."""
    working_dir: str = ""
    """Local mode only: folder that its replicas work in and import from first; empty leaves both as they are."""
    capacity: float | None = None
    """Local mode only: percent of the replicas that there are else, of every deployment; None is all of them."""


# ── controller → operator ────────────────────────────────────────────────────────────────────────────────────────


class BuildState(StrEnum):
    """How far the graph of a revision is."""

    WAITING = "Waiting"
    BUILDING = "Building"
    BUILT = "Built"
    FAILED = "Failed"


class BuildStatus(Message, frozen=True, kw_only=True):
    """The graph of the target's revision: imported once, in a subprocess on a worker node."""

    state: BuildState
    message: str = ""
    """For FAILED: the import path, and the last line of the traceback. For BUILT: what of the target has no effect."""


class Former(Message, frozen=True, kw_only=True):
    """Replicas of another version that are still there, and hold something else than one of the wanted version."""

    replicas: int
    resources: Resources
    group: PlacementGroup | None = None


class DeploymentStatus(Message, frozen=True, kw_only=True):
    """One deployment, counted by the controller."""

    name: str
    ingress: bool = False
    desired: int
    needed: int = -1
    """How many of `desired` it takes to count as served: fewer while autoscaling adds some. -1 is all."""
    reason: str = ""
    """Where `desired` comes from."""
    autoscaled: bool = False
    ready: int
    """Replicas that serve, of any version."""
    updated: int
    """Replicas that serve and are of the target's version."""
    total: int
    """All that occupy a node: starting, serving and draining."""
    version: str
    message: str = ""
    """Why it is not as desired: the deployment, and the last line of the traceback or what it waits for."""
    failing: bool = False
    """True once replicas of the target's version failed to start so often that waiting will not help."""
    resources: Resources = Resources()
    """Of one replica, with all that its placement group reserves."""
    group: PlacementGroup | None = None
    """How that is to be divided; None where it is all on one node."""
    gang_size: int = 1
    """Replicas that come and go together."""
    former: tuple[Former, ...] = ()
    """Those that need other room than their successors: both are there at a time."""
    spread: bool = True
    max_replicas_per_node: int | None = None

    @property
    def required(self) -> int:
        """Replicas without which it is not served as the resource wants."""
        return self.desired if self.needed < 0 else self.needed


class ApplicationStatus(Message, frozen=True, kw_only=True):
    """One application as the controller sees it."""

    application: str
    generation: int
    revision: str
    build: BuildStatus
    deployments: tuple[DeploymentStatus, ...] = ()


class NodeStatus(Message, frozen=True, kw_only=True):
    """One Ray node that may hold replicas."""

    name: str
    """The pod's name; the host's name in local mode."""
    group: str
    template: str
    replicas: int
    """Replicas on it, draining ones included. A node in ``drain_nodes`` with 0 may be taken away."""
    cpu_milli: int = 0
    draining: bool = False


class ControllerStatus(Message, frozen=True, kw_only=True):
    """Answer of ``GET /v1/status``."""

    epoch: str
    version: int
    ray_version: str
    remora_version: str
    applications: tuple[ApplicationStatus, ...] = ()
    nodes: tuple[NodeStatus, ...] = ()


class ApplicationsSnapshot(Message, frozen=True, kw_only=True):
    """Answer of ``GET /v1/applications``: what user code may know, so nothing of nodes."""

    epoch: str
    version: int
    applications: tuple[ApplicationStatus, ...] = ()


# ── controller → proxies and replicas ────────────────────────────────────────────────────────────────────────────


class ReplicaAddress(Message, frozen=True, kw_only=True):
    """Where one replica listens. The handshake names application, revision and replica again."""

    replica: str
    host: str
    port: int
    max_ongoing_requests: int
    revision: str = ""
    node: str = ""
    """Name of the node (pod) it runs on, for locality."""


class DeploymentRoutes(Message, frozen=True, kw_only=True):
    """Replicas of one deployment that take new requests."""

    name: str
    max_queued_requests: int = -1
    """Requests that one router may hold while every replica is full; -1 is unlimited."""
    replicas: tuple[ReplicaAddress, ...] = ()
    hold_s: float | None = None
    """Seconds that a request may wait while there is no replica at all, since one comes for it; None says that none is
    known to come, and leaves it to the router."""
    report_s: float = 0
    """Seconds between reports of its load that the controller asks for; 0 is none."""


class ApplicationRoutes(Message, frozen=True, kw_only=True):
    """One application's deployments."""

    application: str
    ingress: str
    """Name of the ingress deployment; empty before the first graph is built."""
    deployments: tuple[DeploymentRoutes, ...] = ()


class RoutesSnapshot(Message, frozen=True, kw_only=True):
    """Answer of ``GET /v1/routes``: everything, each time. A router keeps the last one while no controller answers."""

    epoch: str
    version: int
    applications: tuple[ApplicationRoutes, ...] = ()


# ── proxies and replicas → controller ────────────────────────────────────────────────────────────────────────────


class DeploymentLoad(Message, frozen=True, kw_only=True):
    """One deployment as one router sees it."""

    application: str
    deployment: str
    queued: int = 0
    """Requests that wait for a replica."""
    ongoing: int = 0
    """Requests that it has sent to replicas and that are not over."""
    arrived: int = 0
    """Requests that have come since the router began; grows."""


class LoadReport(Message, frozen=True, kw_only=True):
    """Body of ``POST /v1/loads``: what one process knows."""

    reporter: str
    """Of this process alone, at random."""
    next_s: float
    """Seconds until its next report: much later, it is gone and its requests with it."""
    deployments: tuple[DeploymentLoad, ...] = ()
    replica: str = ""
    """Of a replica's process: its id."""
    replica_ongoing: int = 0
    """Requests that it works on, whoever sent them."""


# ── operator → proxies ───────────────────────────────────────────────────────────────────────────────────────────


class ControllerEndpoint(Message, frozen=True, kw_only=True):
    """One Ray cluster that serves an application, with its share of the requests."""

    url: str
    """``http://host:port`` of the controller."""
    weight: int = 100
    revision: str = ""
    """What it serves, while an application has two; for rules and figures."""


class RouteRule(Message, frozen=True, kw_only=True):
    """Requests that go to one revision whatever its weight: those with this header, or this cookie."""

    revision: str
    header: str = ""
    """In lower case; empty for a rule about a cookie."""
    cookie: str = ""
    value: str | None = None
    """What it has to say exactly; None is anything."""


class Mirror(Message, frozen=True, kw_only=True):
    """A share of the requests that is repeated to another revision, whose answers nobody sees."""

    revision: str
    percent: float = 100


class Hold(Message, frozen=True, kw_only=True):
    """How requests are kept while an application has no replica at all: they are what starts it."""

    requests: int
    """By one proxy at a time; further ones are answered 503."""
    bytes: int
    """Of bodies that have come in, over all of these requests."""
    seconds: float
    """How long one request is kept."""
    idle_s: float
    """Without a request for so long, the application is idle."""


class ApplicationRouting(Message, frozen=True, kw_only=True):
    """How requests find one application."""

    application: str
    namespace: str = ""
    route_prefix: str = "/"
    controllers: tuple[ControllerEndpoint, ...] = ()
    request_timeout_s: float | None = None
    hold: Hold | None = None
    """None for an application that always has replicas."""
    grpc_servicers: tuple[str, ...] = ()
    """Import paths, on the replicas, of the functions that register gRPC services."""
    grpc_timeout_s: float | None = None
    grpc_reflection: bool = True
    """Clients may ask which services and messages there are."""
    rules: tuple[RouteRule, ...] = ()
    """The first that fits decides."""
    sticky_cookie: str = ""
    """Cookie by which clients stay with one revision; empty if they need not."""
    mirror: Mirror | None = None


class Routing(Message, frozen=True, kw_only=True):
    """Body of ``PUT /v1/routing``; a proxy ignores a version below the one it has."""

    version: int
    """Milliseconds of Unix time when it was decided: grows over operators' lives."""
    applications: tuple[ApplicationRouting, ...] = ()


# ── proxies → operator ───────────────────────────────────────────────────────────────────────────────────────────


class Activity(StrEnum):
    """What one proxy has to do for an application that may be without replicas."""

    WAITING = "Waiting"
    """Requests are kept: it has to be started."""
    ACTIVE = "Active"
    """There are requests, or were within `Hold.idle_s`."""
    IDLE = "Idle"


class ApplicationActivity(Message, frozen=True, kw_only=True):
    """One application's."""

    application: str
    activity: Activity


class ProxyActivity(Message, frozen=True, kw_only=True):
    """Answer of ``GET /v1/activity``: of the applications whose routing has a hold."""

    epoch: str
    version: int
    applications: tuple[ApplicationActivity, ...] = ()


class RevisionFigures(Message, frozen=True, kw_only=True):
    """Answers of one revision in the window, as one proxy saw them."""

    application: str
    revision: str
    requests: int = 0
    errors: int = 0
    """Answers with a status of 500 or above."""
    buckets: tuple[int, ...] = ()
    """Answers by duration: as many as `bounds_s` has, and those above the last."""


class ProxyFigures(Message, frozen=True, kw_only=True):
    """Answer of ``GET /v1/figures``: only of applications that have two revisions."""

    window_s: float
    bounds_s: tuple[float, ...] = ()
    revisions: tuple[RevisionFigures, ...] = ()
