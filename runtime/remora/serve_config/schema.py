"""Models of Ray Serve's config file, as programs import them from `ray.serve.schema`.

They take what Ray Serve's take and refuse what those refuse: fields that nobody knows are left out, and code must be
where every node can fetch it. `file` reads the same files for Remora itself, which says what has no effect, and takes
folders of this machine.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, StrictInt, model_validator

from remora.compat.backpressure import BackpressureConfig
from remora.compat.deployment_actor import DeploymentActorConfig
from remora.compat.http_options import ControllerOptions, HTTPFields, ProxyLocation, gRPCOptions
from remora.compat.logging_config import LoggingConfig
from remora.compat.tracing_config import TracingConfig
from remora.graph.autoscaling import AutoscalingConfig
from remora.routing.config import RequestRouterConfig
from remora.serve_config import checks
from remora.serve_config.checks import AboveZero, Amount, Part, Percent, Seconds


class DEFAULT(Enum):
    """Stands for what is not set, where None is a value of its own."""

    VALUE = 1


_UNSET: Any = DEFAULT.VALUE


def _import_path(path: str) -> str:
    checks.import_path(path)
    return path


def _fetched(runtime_env: dict[str, Any]) -> dict[str, Any]:
    checks.fetched(runtime_env)
    return runtime_env


RuntimeEnv = Annotated[dict[str, Any], AfterValidator(_fetched)]


class RayActorOptionsSchema(BaseModel):
    """What one replica needs of its node."""

    runtime_env: RuntimeEnv = Field(default_factory=dict)
    num_cpus: Amount | None = None
    num_gpus: Amount | None = None
    memory: Amount | None = None
    """Bytes."""
    resources: dict[str, Any] = Field(default_factory=dict)
    accelerator_type: str | None = None
    label_selector: dict[str, str] | None = None
    fallback_strategy: list[dict[str, Any]] | None = None


class DeploymentSchema(BaseModel):
    """Options of one deployment over those in its code; what is not set is DEFAULT.VALUE."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    num_replicas: PositiveInt | str | None = _UNSET
    max_ongoing_requests: Annotated[int, Field(gt=0)] = _UNSET
    max_queued_requests: StrictInt = _UNSET
    backpressure_config: BackpressureConfig = _UNSET
    user_config: dict[Any, Any] | None = _UNSET
    autoscaling_config: dict[str, Any] | AutoscalingConfig | None = _UNSET
    graceful_shutdown_wait_loop_s: Seconds = _UNSET
    graceful_shutdown_timeout_s: Seconds = _UNSET
    health_check_period_s: AboveZero = _UNSET
    health_check_timeout_s: AboveZero = _UNSET
    ray_actor_options: RayActorOptionsSchema = _UNSET
    placement_group_bundles: list[dict[str, float]] = _UNSET
    placement_group_strategy: str = _UNSET
    placement_group_bundle_label_selector: list[dict[str, str]] = _UNSET
    max_replicas_per_node: int = _UNSET
    logging_config: LoggingConfig = _UNSET
    request_router_config: dict[str, Any] | RequestRouterConfig = _UNSET
    gang_scheduling_config: dict[str, Any] | None = _UNSET
    deployment_actors: list[dict[str, Any] | DeploymentActorConfig] | None = _UNSET
    rolling_update_percentage: Part = _UNSET
    max_surge_percent: Percent = _UNSET

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if isinstance(self.num_replicas, str) and self.num_replicas != "auto":
            raise ValueError(f'num_replicas is {self.num_replicas!r}, and must be a whole number above 0, or "auto"')
        if self._has("autoscaling_config"):
            checks.fixed_and_scaled(self.num_replicas, True)
        if self._has("max_queued_requests") and self.max_queued_requests < 1 and self.max_queued_requests != -1:
            raise ValueError("max_queued_requests must be above 0, or -1, which is no limit")
        for one, other in (
            ("max_replicas_per_node", "placement_group_bundles"),
            ("max_replicas_per_node", "gang_scheduling_config"),
            ("placement_group_strategy", "gang_scheduling_config"),
        ):
            if self._has(one) and self._has(other):
                raise ValueError(f"{one} cannot be set beside {other}: leave one of them out")
        if self._has("placement_group_bundle_label_selector"):
            bundles = self.placement_group_bundles if self._has("placement_group_bundles") else []
            if len(self.placement_group_bundle_label_selector) not in {1, len(bundles)} or not bundles:
                raise ValueError(
                    "placement_group_bundle_label_selector must hold one selector for all of placement_group_bundles, "
                    "or one for each"
                )
        return self

    def is_autoscaling_configured(self) -> bool:
        """Return whether the number of replicas is to follow the load."""
        return self.num_replicas == "auto" or self._has("autoscaling_config")

    def _has(self, option: str) -> bool:
        return getattr(self, option) not in (None, DEFAULT.VALUE)


class ServeApplicationSchema(BaseModel):
    """One application."""

    name: str = "default"
    route_prefix: str | None = "/"
    import_path: Annotated[str, AfterValidator(_import_path)]
    runtime_env: RuntimeEnv = Field(default_factory=dict)
    host: str = "0.0.0.0"
    port: int = 8000
    deployments: list[DeploymentSchema] = Field(default_factory=list)
    autoscaling_policy: dict[str, Any] | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    logging_config: LoggingConfig | None = None
    external_scaler_enabled: bool = False

    @model_validator(mode="after")
    def _is_scaled_by_one(self) -> Self:
        scaled = [it.name for it in self.deployments if it.is_autoscaling_configured()]
        if self.external_scaler_enabled and scaled:
            raise ValueError(
                f"external_scaler_enabled cannot be set beside autoscaling, which {', '.join(map(repr, scaled))} have"
            )
        return self

    @property
    def deployment_names(self) -> list[str]:
        """Names of the deployments that have options here."""
        return [deployment.name for deployment in self.deployments]

    @staticmethod
    def get_empty_schema_dict() -> dict[str, Any]:
        """Return what stands for no application."""
        return {"import_path": "", "runtime_env": {}, "deployments": []}


class HTTPOptionsSchema(HTTPFields):
    """How HTTP requests come in."""

    host: str = "0.0.0.0"

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if "ssl_certfile" in self.model_fields_set:
            self.check_tls()
        return self


class gRPCOptionsSchema(gRPCOptions):
    """How gRPC requests come in."""


class ServeDeploySchema(BaseModel):
    """A whole file, of several applications."""

    proxy_location: ProxyLocation = ProxyLocation.EveryNode
    http_options: HTTPOptionsSchema = Field(default_factory=HTTPOptionsSchema)
    grpc_options: gRPCOptionsSchema = Field(default_factory=gRPCOptionsSchema)
    controller_options: ControllerOptions | None = None
    logging_config: LoggingConfig | None = None
    tracing_config: TracingConfig | None = None
    applications: list[ServeApplicationSchema]
    target_capacity: Annotated[float, Field(ge=0, le=100)] | None = None

    @model_validator(mode="after")
    def _applications_differ(self) -> Self:
        names = [application.name for application in self.applications]
        routes = [it.route_prefix for it in self.applications if it.route_prefix is not None]
        for what, found in (("name", names), ("route_prefix", routes)):
            if (double := checks.twice(found)) is not None:
                raise ValueError(f"applications: two have the {what} {double!r}: give each its own")
        if "" in names:
            raise ValueError("applications: each needs a name that is not empty")
        for application in self.applications:
            for option in ("host", "port"):
                if option in application.model_fields_set:
                    raise ValueError(f"application {application.name!r}: {option} belongs into http_options")
        return self

    @staticmethod
    def get_empty_schema_dict() -> dict[str, Any]:
        """Return what stands for no application."""
        return {"applications": []}
