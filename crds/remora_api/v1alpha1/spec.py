"""What a user asks for: `spec` of a ServeApplication, from the code to the pods."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field

from remora_api.model import Bool, FreeForm, Int, ListMap, Model, Quantity, Rule, Unwritten, matches
from remora_api.v1alpha1 import imports
from remora_api.v1alpha1.autoscaling import Autoscaling, Policy
from remora_api.v1alpha1.bundles import Bundle, BundleStrategy
from remora_api.v1alpha1.graph import Graph
from remora_api.v1alpha1.paths import RoutePrefix
from remora_api.v1alpha1.pods import (
    EnvFromSource,
    EnvVar,
    LocalObjectReference,
    MetadataKey,
    MetadataValue,
    ObjectName,
    PodTemplate,
    PullPolicy,
    RayLabels,
    Resources,
)
from remora_api.v1alpha1.rollout import Rollout
from remora_api.v1alpha1.tracing import Tracing
from remora_api.v1alpha1.traffic import Traffic
from remora_api.v1alpha1.zero import ScaleToZero

Count = Annotated[Int, Ge(0), Le(1000)]
Seconds = Annotated[Int, Ge(1), Le(86400)]

ImportPath = Annotated[
    str,
    MinLen(3),
    MaxLen(256),
    matches(
        imports.MODULE_OR_ATTRIBUTE,
        "must be module:attribute, for instance hello:app for the variable app in hello.py",
    ),
]
ServicerFunction = Annotated[
    str,
    MinLen(3),
    MaxLen(256),
    matches(
        imports.FUNCTION,
        "must be module:function, for instance words_pb2_grpc:add_WordsServicer_to_server",
    ),
]
FileName = Annotated[str, MinLen(1), MaxLen(200)]
FileText = Annotated[str, MaxLen(524288)]
_FILE_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*"


class Code(Model):
    """User code on top of the image: exactly one of configMap and inline."""

    RULES: ClassVar = (
        Rule(
            "has(self.configMap) != has(self.inline)",
            "set exactly one of configMap and inline",
            lambda it: (it.config_map is None) != (it.inline is None),
        ),
    )

    config_map: LocalObjectReference | None = None
    """A ConfigMap in the application's namespace: every key is a file, for instance `hello.py`. When it changes, the
    replicas are replaced one by one; pods stay."""
    inline: (
        Annotated[
            dict[FileName, FileText],
            MinLen(1),
            MaxLen(64),
            Rule(
                f"self.all(file, file.matches(r'^{_FILE_NAME}$'))",
                "file names must be relative paths of letters, digits, '_', '-' and '.', with no part that begins with "
                "'.', for instance hello.py or models/text.py",
                lambda files: all(matches(_FILE_NAME, "").holds(file) for file in files),
            ),
        ]
        | None
    ) = None
    """File name to text, for instance `hello.py: |` and the code below it. Packages are written as paths:
    `models/__init__.py`. About 250 kB in all with `kubectl apply`."""


class Spread(StrEnum):
    """How replicas of a deployment are spread."""

    NODES = "Nodes"
    NONE = "None"


class Deployment(Model):
    """Settings of one deployment, over what its code says. What is left out stays as the code has it."""

    RULES: ClassVar = (
        Rule(
            "!has(self.replicas) || !has(self.autoscaling)",
            "set replicas for a fixed number or autoscaling for one that follows the load, not both",
            lambda it: it.replicas is None or it.autoscaling is None,
            field=".replicas",
        ),
        Rule(
            "!has(self.bundles) || !has(self.maxReplicasPerNode)",
            "bundles say themselves how much of a pod a replica takes: remove maxReplicasPerNode, or bundles",
            lambda it: it.bundles is None or it.max_replicas_per_node is None,
            field=".maxReplicasPerNode",
        ),
        Rule(
            "!has(self.bundleStrategy) || has(self.bundles)",
            "bundleStrategy is about bundles: give these here, too, as both replace what the code says",
            lambda it: it.bundle_strategy is None or it.bundles is not None,
            field=".bundleStrategy",
        ),
    )

    name: Annotated[
        str,
        MinLen(1),
        MaxLen(100),
        matches(
            r"[A-Za-z0-9_]([A-Za-z0-9_.:-]*[A-Za-z0-9_])?",
            "must be a deployment's name as in the code: letters, digits, '_', '-', '.' and ':', for instance Model",
        ),
    ]
    """The deployment's name in the code: of the class or function, unless @serve.deployment(name=…) gives another."""
    replicas: Count | None = None
    """Number of replicas. Changing it starts or drains replicas and restarts none."""
    autoscaling: Autoscaling | None = None
    """Let the number of replicas follow the requests, instead of replicas. Replaces the code's autoscaling_config as a
    whole. Changing it restarts nothing."""
    max_ongoing_requests: Annotated[Int, Ge(1), Le(100000)] | None = None
    """Requests that one replica works on at a time; more wait in the router. Ray Serve's max_ongoing_requests."""
    max_queued_requests: Annotated[Int, Ge(-1), Le(1000000)] | None = None
    """Requests that each router may hold while all replicas are full; further ones are answered 503 with
    Retry-After. -1 is no limit, 0 is no queue."""
    user_config: Annotated[Any, FreeForm(only_objects=False)] = None
    """Any value; given to the deployment's `reconfigure` method, at the start and whenever it changes, without a
    restart. For instance {threshold: 0.5}. It replaces the code's user_config as a whole."""
    resources: Resources | None = None
    """What one replica needs: cpu, memory, and devices by their full name, for instance
    {cpu: 500m, memory: 1Gi, nvidia.com/gpu: 1}; fractions are written as text, "0.5". Replaces what the code asks for
    as a whole; cpu is 1 when it is not named. A worker group must have room for it."""
    bundles: Annotated[tuple[Bundle, ...], MinLen(1), MaxLen(64)] | None = None
    """What one replica reserves, bundle by bundle: it runs in the first, and the actors and tasks of Ray that it starts
    run in any of them. For instance [{cpu: 1, nvidia.com/gpu: 1}, {cpu: 1, nvidia.com/gpu: 1}]. The first grows to what
    the replica itself needs (resources). They replace placement_group_bundles of the code, with strategy and labels."""
    bundle_strategy: BundleStrategy | None = None
    """Pack: on one worker pod where one is large enough, else on few. StrictPack: on one. Spread: on several, as far as
    there are any. StrictSpread: each on a pod of its own. Pack unless given."""
    spread: Spread | None = None
    """Nodes: two or more replicas are put on at least two worker pods on two nodes, where there are any. None: wherever
    there is room. Nodes unless given."""
    max_replicas_per_node: Annotated[Int, Ge(1), Le(100)] | None = None
    """Replicas of this deployment that one worker pod may hold at most, those that end included: more come only with
    more pods. Changing it replaces the replicas. No limit unless the code says otherwise."""
    max_surge: Annotated[Int, Ge(0), Le(100)] | None = None
    """Replicas of this deployment that may be there beyond its number in a rollout; as `rollout` says unless given."""
    max_unavailable: Annotated[Int, Ge(0), Le(100)] | None = None
    """Replicas of this deployment that may be missing in a rollout; as `rollout` says unless given."""
    graceful_shutdown_timeout_seconds: Annotated[Int, Ge(0), Le(86400)] | None = None
    """Seconds that a replica which is taken away has to finish the requests it works on. 20 unless the code says
    otherwise."""
    health_check_period_seconds: Seconds | None = None
    """Seconds between calls of the replica's `check_health`. 10 unless the code says otherwise."""
    health_check_timeout_seconds: Seconds | None = None
    """Seconds without an answer after which a replica is unhealthy and is replaced. 30 unless the code says
    otherwise."""


class Storage(Model):
    """A volume claim."""

    size: Quantity
    """Size of the volume, for instance 1Gi."""
    storage_class_name: ObjectName | None = None
    """The StorageClass; the cluster's default unless given."""


class Head(Model):
    """The head pod: Ray's tables and Remora's controller. It runs no user code and no request goes through it."""

    resources: Resources = Resources({"cpu": "500m", "memory": "2Gi"})
    """What the head pod asks for; memory is also its limit. The part that is not named is not asked for."""
    storage: Storage | None = None
    """Keep Ray's tables on a volume claim, so that they outlive the pod. Without it they outlive the container only,
    and a head that was lost with its node is replaced by a new Ray cluster beside the old workers."""
    pod_template: PodTemplate | None = None
    """Laid over the head pod: nodeSelector, tolerations, labels, …"""


class WorkerGroup(Model):
    """Worker pods of one kind: they hold the replicas."""

    RULES: ClassVar = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must not be above maxReplicas: lower it or raise maxReplicas",
            lambda it: it.min_replicas <= it.max_replicas,
            field=".minReplicas",
        ),
        Rule(
            "'cpu' in self.resources",
            "name the cpu of a worker pod, for instance {cpu: 2, memory: 4Gi}: how many replicas fit follows from it",
            lambda it: "cpu" in it.resources.root,
            field=".resources",
        ),
    )

    name: Annotated[
        str,
        MinLen(1),
        MaxLen(15),
        matches(
            r"[a-z]([-a-z0-9]*[a-z0-9])?",
            "must be lower-case letters, digits and '-', with a letter first, for instance gpu: pods are named after "
            "it",
        ),
    ]
    """Name of the group, at most 15 characters, for instance `gpu`. Pods are named after it."""
    min_replicas: Count = 1
    """Pods that are kept even when nobody needs them."""
    max_replicas: Annotated[Int, Ge(1), Le(1000)] = 10
    """Pods that there may be at most; between the two the operator follows what the replicas need."""
    resources: Resources = Resources({"cpu": "1", "memory": "1Gi"})
    """What one pod asks for, to be shared by the replicas on it; memory and devices are also its limit. For instance
    {cpu: 4, memory: 8Gi, nvidia.com/gpu: 1}."""
    ray_labels: RayLabels = Field(default_factory=dict)
    """Labels that the group's pods have as nodes of Ray, for instance {disk: ssd}: what
    placement_group_bundle_label_selector in the code chooses by. Each has remora.dev/group, its group's name, too."""
    pod_template: PodTemplate | None = None
    """Laid over the group's pods: nodeSelector, tolerations, volumes, …"""


class ServiceType(StrEnum):
    """Kind of the Service in front of the proxies."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class ProxyService(Model):
    """The Service that takes the application's requests, at port 80."""

    RULES: ClassVar = (
        Rule(
            "!has(self.nodePort) || self.type != 'ClusterIP'",
            "nodePort needs type NodePort or LoadBalancer: set type, or remove nodePort",
            lambda it: it.node_port is None or it.type is not ServiceType.CLUSTER_IP,
            field=".nodePort",
        ),
    )

    type: ServiceType = ServiceType.CLUSTER_IP
    """ClusterIP for requests from inside the cluster or through an Ingress, NodePort, or LoadBalancer."""
    annotations: Annotated[dict[MetadataKey, MetadataValue], MaxLen(64)] = Field(default_factory=dict)
    """Added to the Service, for instance for a cloud's load balancer."""
    node_port: Annotated[Int, Ge(1), Le(65535)] | None = None
    """A fixed port on every node; Kubernetes chooses one unless given. Most clusters allow 30000 to 32767."""


class Grpc(Model):
    """gRPC, beside HTTP: methods of the ingress deployment answer the methods of its services."""

    port: Annotated[
        Int,
        Ge(1),
        Le(65535),
        Rule("self != 80", "80 is the port of HTTP: choose another, for instance 9000", lambda port: port != 80),
    ] = 9000
    """The port of the Service."""
    servicer_functions: Annotated[tuple[ServicerFunction, ...], MinLen(1), MaxLen(50)]
    """The functions add_…Servicer_to_server that grpcio-tools generated, as module:function or module.function. They
    are imported on the replicas."""


class Tls(Model):
    """HTTPS at the proxies, and gRPC over TLS where there is gRPC. Nothing is answered in the clear then."""

    secret_name: ObjectName
    """A Secret of type kubernetes.io/tls in this namespace: tls.crt and tls.key. What changes in it holds for new
    connections as soon as Kubernetes has brought it to the pods, about a minute later."""


class Proxy(Model):
    """The proxy pods: they take requests and pass them to replicas. They run no user code."""

    replicas: Annotated[Int, Ge(1), Le(100)] = 2
    """Proxy pods. With two or more, a node can be drained without a failed request."""
    resources: Resources = Resources({"cpu": "250m", "memory": "256Mi"})
    """What one proxy pod asks for; memory is also its limit."""
    service: ProxyService = ProxyService()
    """The Service in front of the proxies."""
    grpc: Grpc | None = None
    """Serve gRPC, too."""
    tls: Tls | None = None
    """Serve HTTPS, at port 443 of the Service, in the place of HTTP at port 80."""
    request_timeout_seconds: Seconds | None = None
    """Seconds after which a request is answered 408, or DEADLINE_EXCEEDED, and its work is cancelled. No limit unless
    given. A WebSocket has so long to be accepted."""
    pod_template: PodTemplate | None = None
    """Laid over the proxy pods: nodeSelector, tolerations, topologySpreadConstraints, …"""


class NetworkPolicy(Model):
    """Who may reach the pods."""

    enabled: Bool = True
    """Let in only what the application needs: requests to the proxies, and its own pods among each other. What goes out
    is not restricted."""


DEFAULT_WORKERS = (WorkerGroup(name="default"),)


class ServeApplicationSpec(Model):
    """The wanted state of a serve application."""

    RULES: ClassVar = (
        Rule(
            "has(self.graph) || self.importPath.contains(':')",
            "must be module:attribute, for instance hello:app for the variable app in hello.py",
            lambda it: it.graph is not None or ":" in it.import_path,
            field=".importPath",
        ),
        Rule(
            "!has(self.graph) || !self.importPath.contains(':')",
            "with graph it is the module that the graph's deployments stand in: leave out the part from ':' on",
            lambda it: it.graph is None or ":" not in it.import_path,
            field=".importPath",
        ),
        Rule(
            "!has(self.rollout.blueGreen) || !has(self.rollout.blueGreen.previewPath)"
            " || self.rollout.blueGreen.previewPath != self.routePrefix",
            "previewPath is where the new revision answers, and routePrefix where all answer: choose another path",
            lambda it: it.rollout.blue_green is None or it.rollout.blue_green.preview_path != it.route_prefix,
            field=".rollout.blueGreen.previewPath",
        ),
    )

    import_path: ImportPath
    """Where the application is: module:attribute, for instance `hello:app` for the variable `app` in hello.py. The
    attribute is an application (`Model.bind()`), a deployment, or a function that takes `args` and returns one."""
    args: Annotated[dict[str, Any], FreeForm()] = Field(default_factory=dict)
    """Arguments of the function that importPath names, for instance {model: small}."""
    graph: Graph | None = None
    """Deployments combined here instead of in code: one after the other, by conditions, side by side, or by chance.
    importPath is then the module that they stand in, without an attribute."""
    image: Annotated[str, MinLen(1), MaxLen(512)] | None = None
    """Image of the head and worker pods: Remora's runtime image, or one built on it with your dependencies and code.
    Remora's own unless given."""
    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], MaxLen(16), ListMap()] = ()
    """Secrets in the application's namespace with which images are pulled from a private registry."""
    image_pull_policy: PullPolicy | None = None
    """When images are pulled: Always, IfNotPresent or Never. As Kubernetes has it unless given: Always for the tag
    latest, else IfNotPresent."""
    code: Code | None = None
    """Your code, laid over the image: changes reach the replicas without new pods. Leave it out when the image holds
    the code."""
    env: Annotated[tuple[EnvVar, ...], MaxLen(256), ListMap()] = ()
    """Environment variables of the worker pods, thus of your code, as in a container."""
    env_from: Annotated[tuple[EnvFromSource, ...], MaxLen(64)] = ()
    """ConfigMaps and Secrets all of whose keys become environment variables of your code, as in a container."""
    route_prefix: RoutePrefix = "/"
    """Path below which the application answers, for instance `/api`. Other paths are answered 404."""
    replicas: Count = 1
    """Replicas of the ingress deployment, the one that takes HTTP requests, unless `deployments` gives its number or it
    is autoscaled. This is what `kubectl scale` and a HorizontalPodAutoscaler set. The default gives them a number to go
    on from: while nobody has set one, num_replicas of the code holds."""
    deployments: Annotated[tuple[Deployment, ...], MaxLen(64), ListMap()] = ()
    """Settings of deployments by name, over what the code says: replicas, resources, userConfig, …"""
    autoscaling_policy: Policy | None = None
    """One function in your code for all deployments that are autoscaled, where they depend on each other. It takes a
    dict with an AutoscalingContext for each, and returns a dict with numbers. Policies of single deployments are not
    asked then. Changing it restarts nothing."""
    head: Head = Head()
    """The head pod: resources, storage, and what is laid over it."""
    workers: Annotated[tuple[WorkerGroup, ...], MinLen(1), MaxLen(32), ListMap(), Unwritten()] = DEFAULT_WORKERS
    """Groups of worker pods, by name. Without any there is one, called default, of 1 to 10 pods of 1 CPU and 1 GiB."""
    proxy: Proxy = Proxy()
    """The proxy pods and the Service in front of them."""
    rollout: Rollout = Rollout()
    """How changes are rolled out."""
    scale_to_zero: ScaleToZero | None = None
    """Keep no worker pods while nobody asks. Without it there are always those that the replicas need."""
    traffic: Annotated[Traffic, Unwritten()] = Traffic()
    """Which requests go to a new revision while a Canary or BlueGreen rollout has two running."""
    tracing: Tracing | None = None
    """Spans of requests, by OpenTelemetry. A change replaces proxy and worker pods."""
    revision: Annotated[str, MinLen(1), MaxLen(63)] | None = None
    """Stay with, or go back to, a revision of the past: its name as in `remora rollout history`. Everything that makes
    a revision is then taken from there; replica counts and the rest still from here."""
    revision_history_limit: Annotated[Int, Ge(1), Le(50)] = 5
    """Revisions of the past that are kept to go back to, beside those in use. Those that failed go first."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """Whether a NetworkPolicy protects the pods."""
    suspend: Bool = False
    """Stop everything and keep the resource: all pods are taken away, and come back when it is false again."""
