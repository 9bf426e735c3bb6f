"""Versions: what a build, a replica and its settings are made of, as digests, and a deployment as it has to be.

Pure. Two replicas with the same version, on nodes of the same template, are alike but for what `InPlace` holds, which
reaches them while they run.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, TypeVar

from remora.controller import counts
from remora.controller.state import BuildKey, BuiltDeployment, Deployment, InPlace, Serving
from remora_api import bundles
from remora_api.digests import digest
from remora_api.wire import DeploymentOverride, Target

T = TypeVar("T")


def build_key(target: Target) -> BuildKey:
    """Return the digest over everything that a graph is built from, and where."""
    return BuildKey(digest([*_made_from(target), _groups(target)]))


def resolve(serving: Serving) -> tuple[Deployment, ...]:
    """Return the deployments of an application as they have to be."""
    overrides = {override.name: override for override in serving.target.deployments}
    return tuple(_deployment(serving, built, overrides.get(built.name)) for built in serving.graph.deployments)


def unknown_overrides(serving: Serving) -> tuple[str, ...]:
    """Return the names in the resource that no deployment of the code has."""
    known = {built.name for built in serving.graph.deployments}
    return tuple(override.name for override in serving.target.deployments if override.name not in known)


def _deployment(serving: Serving, built: BuiltDeployment, override: DeploymentOverride | None) -> Deployment:
    target, given = serving.target, override or DeploymentOverride(name=built.name)
    ingress = built.name == serving.graph.ingress
    count = counts.decide(target, built, given, serving.scaled.get(built.name), ingress=ingress)
    resources = given.resources or built.resources
    env = built.env if given.env is None else given.env
    runtime_env = built.runtime_env if given.runtime_env is None else given.runtime_env
    group = _first(given.group, built.group)
    group = None if group is None else bundles.holding(group, resources)
    # As in Ray Serve, one excludes the other; only the resource and the code together can still say both.
    per_node = _first(given.max_replicas_per_node, built.max_replicas_per_node)
    per_node = per_node if group is None and built.gang is None else None
    # Only what is given: the versions of deployments without it stay as they were. A change of max_replicas_per_node
    # replaces the replicas, as in Ray Serve: those that are too many on their node would stay there otherwise.
    reserved = None if group is None else group.to_plain()
    together = None if built.gang is None else built.gang.to_plain()
    around = [each for each in (env, runtime_env, per_node, reserved, together) if each]
    in_place = InPlace(
        max_ongoing_requests=_first(given.max_ongoing_requests, built.max_ongoing_requests),
        user_config=given.user_config if given.has_user_config else built.user_config,
        graceful_shutdown_timeout_s=_first(given.graceful_shutdown_timeout_s, built.graceful_shutdown_timeout_s),
        health_check_period_s=_first(given.health_check_period_s, built.health_check_period_s),
        health_check_timeout_s=_first(given.health_check_timeout_s, built.health_check_timeout_s),
    )
    return Deployment(
        name=built.name,
        ingress=ingress,
        count=count.count,
        reason=count.reason,
        autoscaling=count.autoscaling,
        version=digest([*_made_from(target), built.name, resources.to_plain(), *around]),
        definition=built.definition,
        resources=resources,
        env=env,
        runtime_env=runtime_env,
        spread=_first(given.spread, built.spread),
        max_replicas_per_node=per_node,
        group=group,
        gang=built.gang,
        has_actors=built.has_actors,
        rolling_update_percentage=_first(given.rolling_update_percentage, built.rolling_update_percentage),
        max_surge_percent=_first(given.max_surge_percent, built.max_surge_percent),
        max_constructor_retry_count=_first(given.max_constructor_retry_count, built.max_constructor_retry_count),
        max_queued_requests=_first(given.max_queued_requests, built.max_queued_requests),
        in_place=in_place,
        settings=digest(asdict(in_place)),
    )


def _made_from(target: Target) -> list[Any]:
    """Return what all replicas of a revision are made from.

    Not the revision's name, as what changes one deployment must not replace the others, and not the nodes: a replica
    is replaced when its own node is of another template.
    """
    return [
        target.application,
        target.import_path,
        target.args,
        target.graph.to_plain() if target.graph else None,
        target.code.digest if target.code else "",
        target.env,
        target.working_dir,
    ]


def _groups(target: Target) -> list[list[str]]:
    return sorted([group.name, group.template] for group in target.groups)


def _first(value: T | None, otherwise: T) -> T:
    return otherwise if value is None else value
