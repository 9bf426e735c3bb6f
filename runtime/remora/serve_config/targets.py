"""A Serve config as targets for a controller on this machine, with all that the file says exactly as it says it.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from remora.graph.options import RUNTIME_ENV
from remora.serve_config import autoscaling
from remora.serve_config.file import ActorOptions, ApplicationConfig, DeployConfig, DeploymentConfig, RuntimeEnv
from remora_api import wire
from remora_api.autoscaling import Autoscaling, Policy
from remora_api.digests import digest
from remora_api.wire_group import PlacementGroup, Strategy

_OVERRIDDEN: Final = (
    "max_ongoing_requests",
    "max_queued_requests",
    "graceful_shutdown_timeout_s",
    "health_check_period_s",
    "health_check_timeout_s",
    "max_replicas_per_node",
    "rolling_update_percentage",
    "max_surge_percent",
    "max_constructor_retry_count",
)
"""Options that the wire has under the same name."""


def target(application: ApplicationConfig, capacity: float | None = None) -> wire.Target:
    """Return what the controller has to reach, at so many percent of its capacity.

    `env` and `working_dir` are whoever calls's to fill in.
    """
    policy = autoscaling.policy(application)
    stays = application.model_dump(mode="json", include={"import_path", "args", "runtime_env"})
    return wire.Target(
        application=application.name,
        generation=1,
        revision=f"{application.name}-{digest(stays)[:10]}",
        import_path=application.import_path,
        args=application.args,
        deployments=tuple(_override(deployment, runtime_env(application)) for deployment in application.deployments),
        autoscaling_policy=Policy.from_plain(policy) if policy is not None else None,
        capacity=capacity,
    )


def environment(application: ApplicationConfig) -> dict[str, str]:
    """Return the variables of all its processes."""
    return dict(application.runtime_env.env_vars)


def logging_config(config: DeployConfig, application: ApplicationConfig) -> dict[str, Any] | None:
    """Return how the application's deployments log where their code does not say it; None where nothing does."""
    found = application.logging_config or config.logging_config
    return found.model_dump(mode="json") if found is not None else None


def notes(config: DeployConfig) -> Iterator[str]:
    """Yield a sentence for each thing in the file that has no effect on this machine."""
    done = ("http_options", "grpc_options", "tracing_config", "logging_config", "applications", "target_capacity")
    for name, value in config.set_fields(*done):
        # On one machine there is one proxy wherever it is put.
        if (name, value) not in (("proxy_location", "EveryNode"), ("proxy_location", "HeadOnly")):
            yield f"{name} has no effect here"
    known = ("host", "port", "root_path", "request_timeout_s", "keep_alive_timeout_s", *config.http_options.tls)
    for name, _ in config.http_options.set_fields(*known):
        yield f"http_options.{name} has no effect here"
    for name, _ in config.grpc_options.set_fields("port", "grpc_servicer_functions", "enable_reflection"):
        yield f"grpc_options.{name} has no effect here"
    for application in config.applications:
        yield from _application_notes(application)


def _application_notes(application: ApplicationConfig) -> Iterator[str]:
    here = f"application {application.name!r}"
    known = ("name", "route_prefix", "import_path", "runtime_env", "args", "deployments")
    for name, _ in application.set_fields(*known, "autoscaling_policy", "logging_config"):
        yield f"{here}: {name} has no effect here"
    for name, _ in application.runtime_env.set_fields("env_vars", *RUNTIME_ENV):
        yield f"{here}: runtime_env.{name} has no effect here"
    for deployment in application.deployments:
        for name in _idle(deployment):
            yield f"{here}: deployment {deployment.name!r}: {name} has no effect here"


def _idle(deployment: DeploymentConfig) -> Iterator[str]:
    counts = ("num_replicas", "autoscaling_config")
    for name, _ in deployment.set_fields("name", "user_config", "ray_actor_options", *counts, *_OVERRIDDEN):
        yield name
    yield from autoscaling.idle(deployment)
    if deployment.ray_actor_options is not None:
        known = ("num_cpus", "num_gpus", "memory", "resources", "runtime_env")
        yield from (f"ray_actor_options.{name}" for name, _ in deployment.ray_actor_options.set_fields(*known))
        for name, _ in deployment.ray_actor_options.runtime_env.set_fields("env_vars", *RUNTIME_ENV):
            yield f"ray_actor_options.runtime_env.{name}"


def runtime_env(application: ApplicationConfig) -> dict[str, Any]:
    """Return what Ray has to set up for every process that imports the application's code."""
    of_ray = dict(_for_ray(application.runtime_env))
    if not is_fetched(application.runtime_env.working_dir):
        of_ray.pop("working_dir", None)
    return of_ray


def is_fetched(working_dir: str | None) -> bool:
    """Return whether a `working_dir` is something that Ray fetches or unpacks, no folder of this machine."""
    scheme, separator, rest = (working_dir or "").partition("://")
    return bool(separator) and (scheme not in ("local", "file") or rest.endswith(".zip"))


def _override(deployment: DeploymentConfig, around: Mapping[str, Any]) -> wire.DeploymentOverride:
    values: dict[str, Any] = {name: getattr(deployment, name) for name in _OVERRIDDEN}
    options, scaled = deployment.ray_actor_options, autoscaling.fields(deployment)
    return wire.DeploymentOverride(
        name=deployment.name,
        replicas=None if deployment.num_replicas == "auto" else deployment.num_replicas,
        autoscaling=Autoscaling.from_plain(scaled) if scaled is not None else None,
        user_config=deployment.user_config,
        has_user_config=deployment.user_config is not None,
        resources=_resources(options) if options else None,
        # As in Ray Serve, options in the file stand in the place of all those in the code.
        env=dict(options.runtime_env.env_vars) if options else None,
        runtime_env={**around, **_for_ray(options.runtime_env)} if options else None,
        group=_group(deployment),
        **values,
    )


def _group(deployment: DeploymentConfig) -> PlacementGroup | None:
    bundles, selectors = deployment.placement_group_bundles, deployment.placement_group_bundle_label_selector or ()
    if bundles is None:
        return None
    return PlacementGroup(
        bundles=bundles,
        strategy=deployment.placement_group_strategy or Strategy.PACK,
        selectors=selectors * len(bundles) if len(selectors) == 1 else selectors,
    )


def _for_ray(given: RuntimeEnv) -> dict[str, Any]:
    return {name: value for name, value in given.set_fields("env_vars") if name in RUNTIME_ENV}


def _resources(options: ActorOptions) -> wire.Resources:
    gpus = {"GPU": options.num_gpus} if options.num_gpus else {}
    return wire.Resources(
        cpu_milli=1000 if options.num_cpus is None else round(options.num_cpus * 1000),
        memory_bytes=round(options.memory or 0),
        custom={**gpus, **options.resources},
    )
