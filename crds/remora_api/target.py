"""From a ServeApplication to the Target that a controller follows; the same for the operator and for local mode.

Pure. Whoever calls has already read the ConfigMap that `spec.code` names, and chose the revision's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remora_api import autoscaling, quantity, v1alpha1, wire
from remora_api.digests import digest
from remora_api.graph_target import graph_from
from remora_api.v1alpha1 import pods, spec
from remora_api.v1alpha1.bundles import BundleStrategy
from remora_api.wire_group import PlacementGroup, Strategy

_RAY_NAMES = {"nvidia.com/gpu": "GPU", "amd.com/gpu": "GPU", "google.com/tpu": "TPU"}


def target_from(
    application: v1alpha1.ServeApplication,
    *,
    revision: str,
    code: wire.CodeBundle | None = None,
    groups: Sequence[wire.GroupTarget] = (),
    drain_nodes: Sequence[str] = (),
    make_room: Sequence[str] = (),
    at_least: Mapping[str, int] | None = None,
    asleep: bool = False,
) -> wire.Target:
    """Return what the controller has to reach; `spec.suspend` is for the operator, which then keeps no controller."""
    wanted = application.spec
    return wire.Target(
        application=application.metadata.name,
        generation=application.metadata.generation,
        revision=revision,
        import_path=wanted.import_path,
        args=wanted.args,
        graph=graph_from(wanted.graph),
        code=code,
        deployments=tuple(_override(deployment) for deployment in wanted.deployments),
        ingress_replicas=wanted.replicas if "replicas" in wanted.model_fields_set else None,
        groups=tuple(groups),
        max_surge=wanted.rollout.max_surge,
        max_unavailable=wanted.rollout.max_unavailable or 0,
        autoscaling_policy=_policy_from(wanted.autoscaling_policy),
        scaled={it.name: it.desired for it in application.status.deployments if it.autoscaled},
        at_least=dict(at_least or {}),
        asleep=asleep,
        drain_nodes=tuple(sorted(drain_nodes)),
        make_room=tuple(sorted(make_room)),
    )


def revision_inputs(application: v1alpha1.ServeApplication, code: wire.CodeBundle | None) -> dict[str, Any]:
    """Return the part of the spec that replicas of one revision share, as JSON values to take a digest over.

    Left out on purpose is what changes in place (replicas, userConfig, limits, timeouts) and what belongs to one
    deployment alone (its resources): the controller replaces that deployment's replicas by itself.
    """
    graph = graph_from(application.spec.graph)
    return {
        "importPath": application.spec.import_path,
        "args": application.spec.args,
        "code": code.digest if code else "",
        # Only where there is one: the digests of applications without a graph stay as they were.
        **({"graph": graph.to_plain()} if graph else {}),
    }


def code_bundle(files: Mapping[str, str]) -> wire.CodeBundle:
    """Return files as a bundle that is named by its content."""
    return wire.CodeBundle(digest=digest(dict(files)), files=dict(files))


def ray_resources(amounts: Mapping[str, float]) -> dict[str, float]:
    """Return device amounts by Ray's names: `{"nvidia.com/gpu": 1}` is `{"GPU": 1}`; disk space is no Ray resource."""
    return {_RAY_NAMES.get(name, name): amount for name, amount in amounts.items() if name != "ephemeral-storage"}


def resources_from(resources: pods.Resources) -> wire.Resources:
    """Return what one replica needs; a CPU when it is not named, and as much memory as there is."""
    cpu_milli = resources.cpu_milli
    return wire.Resources(
        cpu_milli=1000 if cpu_milli is None else cpu_milli,
        memory_bytes=resources.memory_bytes or 0,
        custom=ray_resources(resources.others),
    )


def group_from(bundles: Sequence[pods.Resources], strategy: BundleStrategy | None) -> PlacementGroup:
    """Return what one replica reserves; of a bundle nothing is there that is not named, also no CPU."""
    return PlacementGroup(
        bundles=tuple(
            {
                **({"CPU": bundle.cpu_milli / 1000} if bundle.cpu_milli else {}),
                **({"memory": float(bundle.memory_bytes)} if bundle.memory_bytes else {}),
                **{name: amount for name, amount in ray_resources(bundle.others).items() if amount},
            }
            for bundle in bundles
        ),
        strategy=Strategy[(strategy or BundleStrategy.PACK).name],
    )


def hold_from(given: v1alpha1.ScaleToZero) -> wire.Hold:
    """Return how proxies keep requests."""
    return wire.Hold(
        requests=given.max_held_requests,
        bytes=quantity.whole(given.max_held_bytes),
        seconds=given.hold_seconds,
        idle_s=given.idle_seconds,
    )


def autoscaling_from(given: v1alpha1.Autoscaling) -> autoscaling.Autoscaling:
    """Return the autoscaling of the resource in numbers."""
    return autoscaling.Autoscaling(
        min_replicas=given.min_replicas,
        max_replicas=given.max_replicas,
        initial_replicas=given.initial_replicas,
        target_ongoing_requests=float(quantity.parse(given.target_ongoing_requests)),
        look_back_period_s=given.look_back_period_seconds,
        upscaling_factor=float(quantity.parse(given.upscaling_factor)),
        downscaling_factor=float(quantity.parse(given.downscaling_factor)),
        upscale_delay_s=given.upscale_delay_seconds,
        downscale_delay_s=given.downscale_delay_seconds,
        downscale_to_zero_delay_s=given.downscale_to_zero_delay_seconds,
        aggregation=autoscaling.Aggregation(given.aggregation_function.value),
        panic_window_s=given.panic_window_seconds,
        panic_threshold_percent=given.panic_threshold_percent,
        schedules=tuple(autoscaling.Schedule(**it.model_dump()) for it in given.schedules),
        policy=_policy_from(given.policy),
    )


def _policy_from(given: v1alpha1.Policy | None) -> autoscaling.Policy | None:
    return autoscaling.Policy(**given.model_dump()) if given is not None else None


def _override(deployment: spec.Deployment) -> wire.DeploymentOverride:
    return wire.DeploymentOverride(
        name=deployment.name,
        replicas=deployment.replicas,
        autoscaling=autoscaling_from(deployment.autoscaling) if deployment.autoscaling else None,
        max_ongoing_requests=deployment.max_ongoing_requests,
        max_queued_requests=deployment.max_queued_requests,
        user_config=deployment.user_config,
        has_user_config="user_config" in deployment.model_fields_set,
        resources=resources_from(deployment.resources) if deployment.resources else None,
        group=group_from(deployment.bundles, deployment.bundle_strategy) if deployment.bundles else None,
        spread=None if deployment.spread is None else deployment.spread is spec.Spread.NODES,
        max_replicas_per_node=deployment.max_replicas_per_node,
        max_surge=deployment.max_surge,
        max_unavailable=deployment.max_unavailable,
        graceful_shutdown_timeout_s=deployment.graceful_shutdown_timeout_seconds,
        health_check_period_s=deployment.health_check_period_seconds,
        health_check_timeout_s=deployment.health_check_timeout_seconds,
    )
