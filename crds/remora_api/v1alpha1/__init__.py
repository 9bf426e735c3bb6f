"""`remora.dev/v1alpha1`: the resource that users write, as frozen values.

The one source of the CRD, its copy in the chart, `kubectl explain` and the reference page. A field's docstring is what
its users read. Read `resource` for the whole, `spec` for what is wanted, `status` for what is, `pods` for the parts
that look like a container's.
"""

from remora_api.v1alpha1.autoscaling import AggregationFunction, Autoscaling, Schedule
from remora_api.v1alpha1.pods import (
    ConfigMapKeySelector,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    FieldSelector,
    LocalObjectReference,
    OptionalReference,
    PodTemplate,
    PodTemplateMetadata,
    PullPolicy,
    ResourceFieldSelector,
    Resources,
    SecretKeySelector,
)
from remora_api.v1alpha1.resource import InvalidManifest, Metadata, Problem, ServeApplication
from remora_api.v1alpha1.spec import (
    Code,
    Deployment,
    Grpc,
    Head,
    NetworkPolicy,
    Proxy,
    ProxyService,
    Rollout,
    ServeApplicationSpec,
    ServiceType,
    Spread,
    Storage,
    WorkerGroup,
)
from remora_api.v1alpha1.status import (
    Condition,
    ConditionStatus,
    DeploymentStatus,
    ProxyStatus,
    RayStatus,
    ServeApplicationStatus,
    WorkerGroupStatus,
)
from remora_api.v1alpha1.zero import HeadAtZero, ScaleToZero

__all__ = [
    "AggregationFunction",
    "Autoscaling",
    "Code",
    "Condition",
    "ConditionStatus",
    "ConfigMapKeySelector",
    "Deployment",
    "DeploymentStatus",
    "EnvFromSource",
    "EnvVar",
    "EnvVarSource",
    "FieldSelector",
    "Grpc",
    "Head",
    "HeadAtZero",
    "InvalidManifest",
    "LocalObjectReference",
    "Metadata",
    "NetworkPolicy",
    "OptionalReference",
    "PodTemplate",
    "PodTemplateMetadata",
    "Problem",
    "Proxy",
    "ProxyService",
    "ProxyStatus",
    "PullPolicy",
    "RayStatus",
    "ResourceFieldSelector",
    "Resources",
    "Rollout",
    "ScaleToZero",
    "Schedule",
    "SecretKeySelector",
    "ServeApplication",
    "ServeApplicationSpec",
    "ServeApplicationStatus",
    "ServiceType",
    "Spread",
    "Storage",
    "WorkerGroup",
    "WorkerGroupStatus",
]
