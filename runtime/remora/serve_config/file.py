"""A Ray Serve config file as values: `proxy_location`, `http_options`, `applications`, and what they hold.

Field names and defaults are those of Ray Serve's deploy schema (2.60), in which every application overrides options
that its code gives. Fields that this module does not name are kept as `model_extra`, to be said by whoever uses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from remora.compat.logging_config import LoggingConfig
from remora.compat.tracing_config import TracingConfig
from remora.errors import RemoraError
from remora.graph import autoscaling, placement_group
from remora.serve_config import checks
from remora.serve_config.checks import AboveZero, Amount, Percent, PerNode, Seconds
from remora_api.wire_group import Strategy


class InvalidConfig(RemoraError):
    """The file is no Serve config; the message has a line for each field at fault."""


def _import_path(path: str) -> str:
    return ":".join(checks.import_path(path))


def _route_prefix(prefix: str | None) -> str | None:
    if prefix is not None and not prefix.startswith("/"):
        raise ValueError("must begin with /, for instance /api")
    return prefix if prefix is None else prefix.rstrip("/") or "/"


def _policy(given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given is not None:
        autoscaling.policy(given, "autoscaling_policy")
    return given


def _bundles(value: list[dict[str, Any]]) -> placement_group.Bundles:
    return placement_group.bundles(value, "it")


def _selectors(value: list[dict[str, Any]]) -> placement_group.Selectors:
    return placement_group.selectors(value, "it")


Bundles = Annotated[tuple[dict[str, float], ...], BeforeValidator(_bundles)]
Selectors = Annotated[tuple[dict[str, str], ...], BeforeValidator(_selectors)]


class Part(BaseModel):
    """Base of all parts: frozen, and keeps what it does not know."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def set_fields(self, *but: str) -> Iterator[tuple[str, Any]]:
        """Yield the fields that the file gives a value, unknown ones too, except for these."""
        for name in [*type(self).model_fields, *(self.model_extra or {})]:
            given = name in self.model_fields_set or name in (self.model_extra or {})
            if given and name not in but and getattr(self, name) not in (None, {}, []):
                yield name, getattr(self, name)


class RuntimeEnv(Part):
    """What the code's processes see."""

    env_vars: dict[str, str] = Field(default_factory=dict)
    working_dir: str | None = None


class ActorOptions(Part):
    """What one replica needs of its node; None and left out are the code's own."""

    num_cpus: Amount | None = None
    num_gpus: Amount | None = None
    memory: Amount | None = None
    """Bytes."""
    resources: dict[str, Amount] = Field(default_factory=dict)
    runtime_env: RuntimeEnv = RuntimeEnv()


class DeploymentConfig(Part):
    """Options of one deployment over those in its code."""

    name: str
    num_replicas: Annotated[int, Field(gt=0)] | Literal["auto"] | None = None
    max_ongoing_requests: Annotated[int, Field(gt=0)] | None = None
    max_queued_requests: Annotated[int, Field(ge=-1)] | None = None
    user_config: Any = None
    autoscaling_config: dict[str, Any] | None = None
    graceful_shutdown_wait_loop_s: Seconds | None = None
    graceful_shutdown_timeout_s: Seconds | None = None
    health_check_period_s: AboveZero | None = None
    health_check_timeout_s: AboveZero | None = None
    ray_actor_options: ActorOptions | None = None
    max_replicas_per_node: PerNode | None = None
    rolling_update_percentage: checks.Part | None = None
    max_surge_percent: Percent | None = None
    max_constructor_retry_count: Annotated[int, Field(gt=0)] | None = None
    placement_group_bundles: Bundles | None = None
    placement_group_strategy: Strategy | None = None
    placement_group_bundle_label_selector: Selectors | None = None

    @model_validator(mode="after")
    def _is_one_group(self) -> Self:
        bundles, selectors = self.placement_group_bundles, self.placement_group_bundle_label_selector
        if bundles is None and (self.placement_group_strategy or selectors):
            raise ValueError("placement_group_strategy and …_bundle_label_selector need placement_group_bundles beside")
        if bundles and self.max_replicas_per_node:
            raise ValueError("max_replicas_per_node cannot be set beside placement_group_bundles: leave one out")
        if bundles and selectors and len(selectors) not in (1, len(bundles)):
            raise ValueError("placement_group_bundle_label_selector must hold one for all bundles, or one for each")
        return self


class ApplicationConfig(Part):
    """One application."""

    name: str = "default"
    route_prefix: Annotated[str | None, AfterValidator(_route_prefix)] = "/"
    """None is an application that handles reach and HTTP does not."""
    import_path: Annotated[str, AfterValidator(_import_path)]
    runtime_env: RuntimeEnv = RuntimeEnv()
    args: dict[str, Any] = Field(default_factory=dict)
    autoscaling_policy: Annotated[dict[str, Any] | None, AfterValidator(_policy)] = None
    """Decides for all deployments that are autoscaled: `policy_function` and `policy_kwargs`."""
    logging_config: LoggingConfig | None = None
    deployments: tuple[DeploymentConfig, ...] = ()


class HTTPOptions(Part):
    """How the proxy is reached."""

    host: str | None = None
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    root_path: str = ""
    request_timeout_s: AboveZero | None = None
    keep_alive_timeout_s: Annotated[int, Field(gt=0)] | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_keyfile_password: str | None = None
    ssl_ca_certs: str | None = None

    @property
    def tls(self) -> dict[str, str | None]:
        """What is said of TLS, by its names in Ray Serve."""
        return {name: value for name, value in self if name.startswith("ssl_")}


class GRPCOptions(Part):
    """How gRPC is served, beside HTTP: not at all without servicer functions."""

    port: Annotated[int, Field(ge=1, le=65535)] = 9000
    grpc_servicer_functions: tuple[str, ...] = ()
    enable_reflection: bool = True


class DeployConfig(Part):
    """A whole file."""

    http_options: HTTPOptions = HTTPOptions()
    grpc_options: GRPCOptions = GRPCOptions()
    tracing_config: TracingConfig | None = None
    logging_config: LoggingConfig | None = None
    """Of replicas, where neither their application nor their code says it."""
    target_capacity: Annotated[float, Field(ge=0, le=100)] | None = None
    """Percent of the replicas of all deployments."""
    applications: Annotated[tuple[ApplicationConfig, ...], Field(min_length=1)]


def is_config(document: Mapping[str, Any]) -> bool:
    """Whether a YAML document is a Serve config, of several applications or (as of old) of a single one."""
    return "apiVersion" not in document and ("applications" in document or "import_path" in document)


def read(document: Mapping[str, Any]) -> DeployConfig:
    """Return the document's config; raise InvalidConfig with the path of every field at fault."""
    if "applications" not in document:
        # A single application, with the proxy's address among its own fields.
        http = {name: document[name] for name in ("host", "port") if name in document}
        rest = {name: value for name, value in document.items() if name not in http}
        document = {"http_options": http, "applications": [rest]}
    try:
        config = DeployConfig.model_validate(document)
    except ValidationError as error:
        lines = (f"{_path(problem['loc'])}: {_message(problem)}" for problem in error.errors())
        raise InvalidConfig("\n".join(dict.fromkeys(lines))) from error
    _check(config)
    return config


def _check(config: DeployConfig) -> None:
    for what, found in (
        ("name", [application.name for application in config.applications]),
        ("route_prefix", [a.route_prefix for a in config.applications if a.route_prefix is not None]),
    ):
        if (double := checks.twice(found)) is not None:
            raise InvalidConfig(f"applications: two have the {what} {double!r}: give each its own")
    for i, application in enumerate(config.applications):
        for j, deployment in enumerate(application.deployments):
            if isinstance(deployment.num_replicas, int) and deployment.autoscaling_config:
                raise InvalidConfig(
                    f"applications[{i}].deployments[{j}].num_replicas: "
                    'cannot be set beside autoscaling_config: leave it out, or make it "auto"'
                )


def _path(location: Sequence[int | str]) -> str:
    path = ""
    for part in location:
        # Members of a union have a place of their own in pydantic's words, and none in the file.
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() and part not in ("int", "literal"):
            path += f".{part}"
    return path.removeprefix(".")


def _message(problem: Any) -> str:
    value = problem["input"]
    got = f" (it is {value!r})" if isinstance(value, str | int | float | bool) else ""
    text = str(problem["msg"]).removeprefix("Value error, ")
    return f"{text[:1].lower()}{text[1:]}{got}"
