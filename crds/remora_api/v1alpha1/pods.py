"""Parts of the resource that look like parts of a pod: environment, resources, and what is laid over a pod template."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from annotated_types import MaxLen, MinLen
from pydantic import ConfigDict, Field, RootModel

from remora_api import quantity
from remora_api.model import AtomicMap, Bool, FreeForm, Model, Quantity, Rule, matches

ObjectName = Annotated[
    str,
    MinLen(1),
    MaxLen(253),
    matches(
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        "must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', for instance my-config",
    ),
]
DataKey = Annotated[
    str,
    MinLen(1),
    MaxLen(253),
    matches(r"[-._a-zA-Z0-9]+", "must be a key in a ConfigMap or Secret: letters, digits, '-', '_' and '.'"),
]


class PullPolicy(StrEnum):
    """When the kubelet pulls an image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class LocalObjectReference(Model):
    """An object in the same namespace."""

    name: ObjectName
    """Name of the object."""


class SecretKeySelector(Model):
    """One key of a Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: DataKey
    """Key in the Secret's data."""
    optional: Bool = False
    """Start also when the Secret or its key is missing."""


class ConfigMapKeySelector(Model):
    """One key of a ConfigMap in the same namespace."""

    name: ObjectName
    """Name of the ConfigMap."""
    key: DataKey
    """Key in the ConfigMap's data."""
    optional: Bool = False
    """Start also when the ConfigMap or its key is missing."""


class FieldSelector(Model):
    """One field of the pod itself."""

    api_version: Annotated[str, MaxLen(64)] | None = None
    """Version of the schema that fieldPath is written in; v1 unless given."""
    field_path: Annotated[str, MinLen(1), MaxLen(256)]
    """Path of the field, for instance `metadata.name` or `status.podIP`."""


class ResourceFieldSelector(Model):
    """One resource of the container itself."""

    container_name: Annotated[str, MaxLen(63)] | None = None
    """Name of the container; this one unless given."""
    resource: Annotated[str, MinLen(1), MaxLen(256)]
    """The resource, for instance `limits.memory`."""
    divisor: Quantity | None = None
    """Unit of the answer, for instance `1Mi`; 1 unless given."""


def _count(model: Model, *fields: str) -> int:
    return sum(getattr(model, field) is not None for field in fields)


class EnvVarSource(Model):
    """Where the value of an environment variable comes from: exactly one of these."""

    RULES: ClassVar = (
        Rule(
            "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), has(self.resourceFieldRef)]"
            ".filter(given, given).size() == 1",
            "set exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef",
            lambda it: _count(it, "secret_key_ref", "config_map_key_ref", "field_ref", "resource_field_ref") == 1,
        ),
    )

    secret_key_ref: SecretKeySelector | None = None
    """A key of a Secret in the application's namespace."""
    config_map_key_ref: ConfigMapKeySelector | None = None
    """A key of a ConfigMap in the application's namespace."""
    field_ref: FieldSelector | None = None
    """A field of the pod, for instance its name or address."""
    resource_field_ref: ResourceFieldSelector | None = None
    """A resource of the container, for instance its memory limit."""


class EnvVar(Model):
    """One environment variable."""

    RULES: ClassVar = (
        Rule(
            "!(has(self.value) && has(self.valueFrom))",
            "set value or valueFrom, not both",
            lambda it: it.value is None or it.value_from is None,
        ),
    )

    name: Annotated[
        str,
        MinLen(1),
        MaxLen(256),
        matches(
            r"[-._a-zA-Z][-._a-zA-Z0-9]*",
            "must be the name of an environment variable: letters, digits, '_', '-' and '.', no digit first",
        ),
    ]
    """Name of the variable, for instance `MODEL_NAME`."""
    value: Annotated[str, MaxLen(32768)] | None = None
    """The value as it is, or with `$(OTHER)` for variables defined before it. Numbers and booleans need quotes."""
    value_from: EnvVarSource | None = None
    """Take the value from a Secret, a ConfigMap or the pod itself."""


class OptionalReference(Model):
    """A ConfigMap or Secret in the same namespace."""

    name: ObjectName
    """Name of the object."""
    optional: Bool = False
    """Start also when it does not exist."""


class EnvFromSource(Model):
    """All keys of one ConfigMap or Secret as environment variables."""

    RULES: ClassVar = (
        Rule(
            "has(self.configMapRef) != has(self.secretRef)",
            "set exactly one of configMapRef and secretRef",
            lambda it: _count(it, "config_map_ref", "secret_ref") == 1,
        ),
    )

    prefix: Annotated[str, MaxLen(128)] | None = None
    """Put before each name, for instance `DB_`."""
    config_map_ref: OptionalReference | None = None
    """The ConfigMap to take all keys of."""
    secret_ref: OptionalReference | None = None
    """The Secret to take all keys of."""


ResourceName = Annotated[str, MinLen(1), MaxLen(128)]


def _is_resource_name(name: str) -> bool:
    return name in ("cpu", "memory", "ephemeral-storage") or "/" in name


class Resources(RootModel[Annotated[dict[ResourceName, Quantity], MaxLen(16), AtomicMap()]]):
    """Amounts by the name of the resource, as in a container: cpu, memory, ephemeral-storage, nvidia.com/gpu, …"""

    model_config = ConfigDict(frozen=True)

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.all(name, name in ['cpu', 'memory', 'ephemeral-storage'] || name.contains('/'))",
            "resources are cpu, memory, ephemeral-storage, or a device by its full name, for instance nvidia.com/gpu; "
            "amounts stand directly below resources, without requests and limits",
            lambda it: all(map(_is_resource_name, it.root)),
        ),
    )

    def model_post_init(self, context: Any, /) -> None:
        """Hold to the rules that the API server holds to."""
        for rule in self.RULES:
            rule.check(self)

    @property
    def cpu_milli(self) -> int | None:
        """Thousandths of a CPU; None when not named."""
        return quantity.milli(self.root["cpu"]) if "cpu" in self.root else None

    @property
    def memory_bytes(self) -> int | None:
        """Bytes; None when not named."""
        return quantity.whole(self.root["memory"]) if "memory" in self.root else None

    @property
    def others(self) -> dict[str, float]:
        """Everything but cpu and memory: `{"nvidia.com/gpu": 1.0}`."""
        return {k: float(quantity.parse(v)) for k, v in self.root.items() if k not in ("cpu", "memory")}


MetadataValue = Annotated[str, MaxLen(65536)]
MetadataKey = Annotated[str, MinLen(1), MaxLen(317)]
LabelValue = Annotated[
    str,
    MaxLen(63),
    matches(
        r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?",
        "must be a label's value: at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or "
        "digit",
    ),
]

RayLabelValue = Annotated[LabelValue, MinLen(1)]
_LABEL_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = rf"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_LABEL_NAME}"
RayLabels = Annotated[
    dict[MetadataKey, RayLabelValue],
    MaxLen(32),
    Rule(
        f"self.all(key, key.matches(r'^({_LABEL_KEY})$'))",
        "must have the keys of labels: letters, digits, '-', '_' and '.', after a domain and '/' if there is one",
        lambda labels: all(matches(_LABEL_KEY, "").holds(key) for key in labels),
    ),
    Rule(
        "self.all(key, !key.startsWith('remora.dev/') && key != 'ray.io/node-id')",
        "labels under remora.dev/ are the operator's, and ray.io/node-id is Ray's own: choose other keys",
        lambda labels: not any(key.startswith("remora.dev/") or key == "ray.io/node-id" for key in labels),
    ),
]

_OURS = ("remora.dev/", "app.kubernetes.io/")


class PodTemplateMetadata(Model):
    """Labels and annotations for pods."""

    labels: Annotated[
        dict[MetadataKey, LabelValue],
        MaxLen(64),
        Rule(
            "self.all(key, !key.startsWith('remora.dev/') && !key.startsWith('app.kubernetes.io/'))",
            "labels under remora.dev/ and app.kubernetes.io/ are the operator's: choose other keys",
            lambda labels: not any(key.startswith(_OURS) for key in labels),
        ),
    ] = Field(default_factory=dict)
    """Added to the pods' labels, for instance {team: search}."""
    annotations: Annotated[dict[MetadataKey, MetadataValue], MaxLen(64)] = Field(default_factory=dict)
    """Added to the pods' annotations, for instance for a service mesh or a log collector."""


class PodTemplate(Model):
    """What is laid over the pods that the operator makes."""

    metadata: PodTemplateMetadata | None = None
    """Labels and annotations to add."""
    spec: Annotated[dict[str, Any], FreeForm()] = Field(default_factory=dict)
    """Fields of a pod's spec, merged over the operator's own as `kubectl patch` would: maps key by key, containers,
    env, volumes and volumeMounts by name, other lists as a whole. For instance nodeSelector, tolerations, affinity,
    priorityClassName, runtimeClassName, volumes, or containers: [{name: worker, volumeMounts: […]}]. The operator's
    containers are called ray and controller in the head pod, worker in worker pods, and proxy in proxy pods."""
