"""A Serve config, or a graph that was built from code, as ServeApplication manifests: one for each application.

Pure. What a manifest cannot hold becomes a note: a comment in the file, and a sentence on the terminal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from remora.graph import placement_group
from remora.graph.result import BuildResult, BuiltDeployment
from remora.serve_config import autoscaling
from remora.serve_config.file import ActorOptions, ApplicationConfig, DeployConfig, DeploymentConfig
from remora.serve_config.names import object_name
from remora_api import capacity
from remora_api.v1alpha1 import BundleStrategy

Manifest = dict[str, Any]

_API: Final = {"apiVersion": "remora.dev/v1alpha1", "kind": "ServeApplication"}
_NUMBERS: Final = {
    "max_ongoing_requests": "maxOngoingRequests",
    "max_queued_requests": "maxQueuedRequests",
    "max_replicas_per_node": "maxReplicasPerNode",
}
"""Option → field of the resource, with the same value."""
_SECONDS: Final = {
    "graceful_shutdown_timeout_s": ("gracefulShutdownTimeoutSeconds", 0),
    "health_check_period_s": ("healthCheckPeriodSeconds", 1),
    "health_check_timeout_s": ("healthCheckTimeoutSeconds", 1),
}
"""Option → field of the resource, in whole seconds, and the least that it takes."""
_DEVICES: Final = {"GPU": "nvidia.com/gpu", "TPU": "google.com/tpu"}
_CODE_BYTES: Final = 250_000
"""What `kubectl apply` takes with the copy that it keeps in an annotation."""


@dataclass(frozen=True, slots=True)
class Converted:
    """One manifest, and what it does not say."""

    manifest: Manifest
    notes: tuple[str, ...] = ()


def from_config(config: DeployConfig, code: Mapping[str, Mapping[str, str]]) -> tuple[Converted, ...]:
    """Return a manifest for each application; `code` is by application: the files to lay over the image."""
    common = list(_common_notes(config))
    return tuple(_application(application, config, common, code) for application in config.applications)


def from_build(
    name: str, import_path: str, args: Mapping[str, Any], built: BuildResult, code: Mapping[str, str]
) -> Converted:
    """Return the manifest of an application that was built here, with the options that its code gives."""
    notes = list(built.warnings)
    spec: Manifest = {"importPath": import_path}
    if args:
        spec["args"] = dict(args)
    spec |= _code(code, import_path, notes)
    spec["deployments"] = [_built(deployment, notes) for deployment in built.deployments]
    return Converted({**_API, "metadata": {"name": object_name(name)}, "spec": spec}, tuple(notes))


def text(converted: Sequence[Converted]) -> str:
    """Return the manifests as one YAML file, the notes as comments above each."""
    return "---\n".join(_document(one) for one in converted)


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines (code) as it stands."""

    def represent_text(self, value: str) -> yaml.Node:
        return self.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _Dumper.represent_text)


def _document(converted: Converted) -> str:
    comments = [f"# - {note}" for note in converted.notes]
    head = ["# Not carried over:", *comments] if comments else []
    body = yaml.dump(converted.manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return "\n".join([*head, body])


def _common_notes(config: DeployConfig) -> Iterator[str]:
    for name, _ in config.set_fields(
        "http_options", "grpc_options", "tracing_config", "applications", "proxy_location", "target_capacity"
    ):
        yield f"{name}: there is no field for it"
    if config.tracing_config is not None and config.tracing_config.enabled:
        yield "tracing_config: name a collector in spec.tracing.endpoint, as proxies run no user code"
    if config.target_capacity is not None:
        yield (
            f"target_capacity: the numbers of replicas that the file gives are {config.target_capacity:g} % of what it "
            "gives; those in the code are as they were: give them in the file, or in spec.deployments[].replicas"
        )
    if "proxy_location" in (config.model_extra or {}):
        yield "proxy_location: proxies are pods of their own, as many as spec.proxy.replicas"
    for name, _ in config.http_options.set_fields("host", "port", "request_timeout_s", *config.http_options.tls):
        yield f"http_options.{name}: there is no field for it"
    if any(config.http_options.tls.values()):
        yield "http_options.ssl_…: put certificate and key into a Secret, and its name into spec.proxy.tls.secretName"
    for name, _ in config.grpc_options.set_fields("port", "grpc_servicer_functions"):
        yield f"grpc_options.{name}: there is no field for it"
    if {"host", "port"} & {name for name, _ in config.http_options.set_fields()}:
        yield "http_options.host and port: the Service in front of the proxies listens at port 80"
    if len(config.applications) > 1:
        yield (
            "other applications of the file: each has its own Ray cluster and Service, so a handle of one "
            "(get_app_handle) does not reach another"
        )


def _application(
    application: ApplicationConfig,
    config: DeployConfig,
    common: Sequence[str],
    code: Mapping[str, Mapping[str, str]],
) -> Converted:
    notes = list(common)
    spec: Manifest = {"importPath": application.import_path}
    if application.args:
        spec["args"] = application.args
    spec |= _code(code.get(application.name, {}), application.import_path, notes)
    if application.runtime_env.env_vars:
        spec["env"] = [{"name": k, "value": v} for k, v in application.runtime_env.env_vars.items()]
    if application.route_prefix is None:
        notes.append("route_prefix: null: an application always answers HTTP, at / here")
    elif application.route_prefix != "/":
        spec["routePrefix"] = application.route_prefix
    policy = autoscaling.policy(application)
    if policy is not None:
        spec["autoscalingPolicy"] = autoscaling.manifest_policy(policy)
    if application.deployments:
        spec["deployments"] = [
            _deployment(deployment, config.target_capacity, notes) for deployment in application.deployments
        ]
    spec |= _proxy(config, notes)
    known = ("name", "route_prefix", "import_path", "runtime_env", "args", "deployments", "autoscaling_policy")
    notes += [f"{name}: there is no field for it" for name, _ in application.set_fields(*known)]
    notes += [
        f"runtime_env.{name}: build an image with it on Remora's, and name it in spec.image"
        for name, _ in application.runtime_env.set_fields("env_vars", "working_dir")
    ]
    name = object_name(application.name)
    if name != application.name:
        notes.append(f"name {application.name!r}: Kubernetes takes {name!r}")
    return Converted({**_API, "metadata": {"name": name}, "spec": spec}, tuple(notes))


def _proxy(config: DeployConfig, notes: list[str]) -> Manifest:
    found: Manifest = {}
    timeout_s, grpc = config.http_options.request_timeout_s, config.grpc_options
    if timeout_s is not None:
        found["requestTimeoutSeconds"] = _whole(timeout_s, 1, "http_options.request_timeout_s", notes)
    if grpc.grpc_servicer_functions:
        found["grpc"] = {"port": grpc.port, "servicerFunctions": list(grpc.grpc_servicer_functions)}
    return {"proxy": found} if found else {}


def _code(files: Mapping[str, str], import_path: str, notes: list[str]) -> Manifest:
    if not files:
        notes.append(
            f"the code: module {import_path.partition(':')[0]} has to be in spec.image, or in spec.code (--code DIR)"
        )
        return {}
    size = sum(len(name.encode()) + len(content.encode()) for name, content in files.items())
    if size > _CODE_BYTES or len(files) > 64:
        notes.append(f"the code: {len(files)} files of {size} bytes are too much for spec.code: put it into the image")
        return {}
    return {"code": {"inline": dict(sorted(files.items()))}}


def _deployment(config: DeploymentConfig, percent: float | None, notes: list[str]) -> Manifest:
    where = f"deployment {config.name!r}"
    found: Manifest = {"name": config.name}
    if isinstance(config.num_replicas, int):
        found["replicas"] = capacity.share(config.num_replicas, percent)
    elif (scaled := autoscaling.fields(config)) is not None:
        if percent == 0:
            found["replicas"] = 0
        else:
            found["autoscaling"] = autoscaling.manifest(autoscaling.at(scaled, percent), where, notes)
    for option, field in _NUMBERS.items():
        if getattr(config, option) is not None:
            found[field] = getattr(config, option)
    if config.user_config is not None:
        found["userConfig"] = config.user_config
    for option, (field, least) in _SECONDS.items():
        if getattr(config, option) is not None:
            found[field] = _whole(getattr(config, option), least, f"{where}: {option}", notes)
    if config.ray_actor_options is not None:
        found["resources"] = _resources(config.ray_actor_options, where, notes)
    found |= _bundles(config, where, notes)
    notes += [f"{where}: {name}: there is no field for it" for name in autoscaling.idle(config)]
    carried = (
        "name",
        "num_replicas",
        "autoscaling_config",
        "user_config",
        *_NUMBERS,
        *_SECONDS,
    )
    for name, _ in config.set_fields(*carried, "ray_actor_options"):
        in_parts = name in ("rolling_update_percentage", "max_surge_percent")
        instead = "say maxSurge and maxUnavailable in whole replicas" if in_parts else "there is no field for it"
        if name in placement_group.OPTIONS:
            if "bundles" in found:
                continue
            instead = "say it in the code, in @serve.deployment: there is no field for labels and for such resources"
        notes.append(f"{where}: {name}: {instead}")
    return found


def _bundles(config: DeploymentConfig, where: str, notes: list[str]) -> Manifest:
    """Return the fields of the placement group; none where they would not say all that the config says of it."""
    given = config.placement_group_bundles or ()
    if not given or config.placement_group_bundle_label_selector:
        return {}
    bundles = [_bundle(bundle) for bundle in given]
    if not all(bundles):
        return {}
    if given[0].get("CPU", 0) < 1 and config.ray_actor_options is None:
        notes.append(f"{where}: the first of bundles has 1 CPU at least, unless the code or resources ask for less")
    strategy = config.placement_group_strategy or placement_group.STRATEGIES[0]
    return {"bundles": bundles, "bundleStrategy": BundleStrategy[strategy].value}


def _bundle(bundle: Mapping[str, float]) -> Manifest:
    """Return one bundle's amounts; empty where a name is no device of a cluster's, or all are 0."""
    others = {
        _DEVICES.get(name, name): amount for name, amount in bundle.items() if name not in ("CPU", "memory") and amount
    }
    if not all("/" in name for name in others):
        return {}
    amounts: Manifest = {"cpu": _amount(bundle["CPU"])} if bundle.get("CPU") else {}
    if bundle.get("memory"):
        amounts["memory"] = str(math.ceil(bundle["memory"]))
    return amounts | {name: _amount(amount) for name, amount in others.items()}


def _resources(options: ActorOptions, where: str, notes: list[str]) -> Manifest:
    amounts = {"cpu": _amount(1 if options.num_cpus is None else options.num_cpus)}
    if options.memory:
        amounts["memory"] = str(math.ceil(options.memory))
    custom = {**({"GPU": options.num_gpus} if options.num_gpus else {}), **options.resources}
    amounts |= _devices(custom, where, notes)
    for name, _ in options.set_fields("num_cpus", "num_gpus", "memory", "resources", "runtime_env"):
        notes.append(f"{where}: ray_actor_options.{name}: choose nodes with spec.workers[].podTemplate instead")
    for name, _ in options.runtime_env.set_fields():
        notes.append(f"{where}: ray_actor_options.runtime_env.{name}: spec.env and spec.image are the application's")
    return amounts


def _devices(custom: Mapping[str, float], where: str, notes: list[str]) -> Manifest:
    amounts: Manifest = {}
    for name, amount in custom.items():
        device = _DEVICES.get(name, name)
        if "/" in device:
            amounts[device] = _amount(amount)
        else:
            notes.append(f"{where}: resource {name!r}: in a cluster a device has a full name, as nvidia.com/gpu")
    return amounts


def _built(built: BuiltDeployment, notes: list[str]) -> Manifest:
    where = f"deployment {built.name!r}"
    plain = BuiltDeployment(name=built.name, digest=built.digest)
    found: Manifest = {"name": built.name}
    if built.autoscaling is None:
        found["replicas"] = built.replicas
    else:
        found["autoscaling"] = autoscaling.manifest(built.autoscaling, where, notes)
    for option, field in _NUMBERS.items():
        if getattr(built, option) != getattr(plain, option):
            found[field] = getattr(built, option)
    if built.has_user_config:
        found["userConfig"] = built.user_config
    for option, (field, least) in _SECONDS.items():
        if getattr(built, option) != getattr(plain, option):
            found[field] = _whole(getattr(built, option), least, f"{where}: {option}", notes)
    if (built.cpu_milli, built.memory_bytes, built.custom) != (plain.cpu_milli, plain.memory_bytes, plain.custom):
        amounts: Manifest = {"cpu": _amount(built.cpu_milli / 1000)}
        if built.memory_bytes:
            amounts["memory"] = str(built.memory_bytes)
        found["resources"] = amounts | _devices(built.custom, where, notes)
    if built.graceful_shutdown_wait_loop_s != plain.graceful_shutdown_wait_loop_s:
        notes.append(f"{where}: graceful_shutdown_wait_loop_s: it is in the code, there is no field for it")
    return found


def _amount(value: float) -> str:
    """Return a Kubernetes quantity: 2 is "2", 0.1 is "100m"."""
    return str(int(value)) if float(value).is_integer() else f"{math.ceil(round(value * 1000, 6))}m"


def _whole(seconds: float, least: int, where: str, notes: list[str]) -> int:
    whole = max(least, math.ceil(seconds))
    if whole != seconds:
        notes.append(f"{where}: {seconds:g} s became {whole}: the field holds whole seconds")
    return whole
