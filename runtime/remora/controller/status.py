"""Status: what the operator is told of applications and nodes.

Pure. Computed anew from the World each time; messages name the deployment and the way out, for `kubectl describe`.
"""

from __future__ import annotations

from collections.abc import Iterator

from remora.controller import placement, versions
from remora.controller.planner import FAILING_AFTER, homes_of, is_as_wanted, members_of, places_of
from remora.controller.state import Build, Deployment, Node, Replica, Serving, World
from remora_api import bundles
from remora_api.wire import (
    ApplicationStatus,
    BuildState,
    BuildStatus,
    DeploymentStatus,
    Former,
    NodeStatus,
    Resources,
    Target,
)


def applications(world: World) -> tuple[ApplicationStatus, ...]:
    """Return every application as it is, in a stable order; deleted ones until their replicas are gone."""
    named = {**{name: serving.target for name, serving in world.serving.items()}, **world.targets}
    return tuple(_application(world, target) for _, target in sorted(named.items()))


def nodes(world: World) -> tuple[NodeStatus, ...]:
    """Return the nodes that may hold replicas."""
    return tuple(_node(world, node) for node in sorted(world.nodes.values(), key=lambda node: node.name))


def _application(world: World, target: Target) -> ApplicationStatus:
    serving = world.serving.get(target.application)
    return ApplicationStatus(
        application=target.application,
        generation=target.generation,
        revision=target.revision,
        build=_build(world, target, serving),
        deployments=tuple(
            _deployment(world, serving, deployment, is_wanted=target.application in world.targets)
            for deployment in versions.resolve(serving)
        )
        if serving
        else (),
    )


def _build(world: World, target: Target, serving: Serving | None) -> BuildStatus:
    build = world.builds.get(versions.build_key(target), Build(BuildState.WAITING))
    match build.state:
        case BuildState.WAITING:
            return BuildStatus(state=build.state, message=build.message or _waits_for_node(world, target))
        case BuildState.BUILDING:
            return BuildStatus(state=build.state, message=f"importing {target.import_path}")
        case BuildState.FAILED:
            return BuildStatus(state=build.state, message=build.message)
        case BuildState.BUILT:
            return BuildStatus(state=build.state, message="; ".join(_idle(serving)) if serving else "")


def _idle(serving: Serving) -> Iterator[str]:
    """Yield a sentence for each part of the target that has no effect with this code."""
    unknown = versions.unknown_overrides(serving)
    if unknown:
        names = ", ".join(repr(built.name) for built in serving.graph.deployments)
        yield f"no deployment is called {', '.join(map(repr, unknown))}; the code has {names}"
    policy, target = serving.target.autoscaling_policy, serving.target
    if policy is not None and not target.asleep and not any(it.autoscaling for it in versions.resolve(serving)):
        yield f"autoscalingPolicy {policy.import_path} is not asked: no deployment has autoscaling"


def _waits_for_node(world: World, target: Target) -> str:
    if not target.groups:
        return "waiting for a worker to import the code"
    names = ", ".join(repr(group.name) for group in target.groups)
    return f"waiting for a worker of group {names} to import the code"


def _deployment(world: World, serving: Serving, deployment: Deployment, *, is_wanted: bool) -> DeploymentStatus:
    members = members_of(world, serving.target.application, deployment.name)
    homes = homes_of(world, serving.target)
    updated = sum(r.is_ready and is_as_wanted(r, deployment, homes, world.nodes) for r in members)
    count = deployment.count if is_wanted else 0
    crashes = world.crashes.get((serving.target.application, deployment.name, deployment.version))
    is_short = updated < count
    scaling = deployment.autoscaling
    least = max(1, scaling.min_replicas, serving.target.at_least.get(deployment.name, 0)) if scaling else count
    return DeploymentStatus(
        name=deployment.name,
        ingress=deployment.ingress,
        desired=count,
        needed=min(count, least),
        reason=deployment.reason,
        autoscaled=deployment.autoscaling is not None,
        ready=sum(r.is_ready for r in members),
        updated=updated,
        total=len(members),
        version=deployment.version,
        message=_message(world, serving, deployment, members) if is_short else "",
        failing=is_short and crashes is not None and (crashes.hung or crashes.count >= _tries(deployment)),
        resources=deployment.needs,
        group=deployment.group,
        gang_size=1 if deployment.gang is None else deployment.gang.size,
        former=_former(members, deployment),
        spread=deployment.spread,
        max_replicas_per_node=deployment.max_replicas_per_node,
    )


def _former(members: list[Replica], deployment: Deployment) -> tuple[Former, ...]:
    """Return what replicas of other versions hold, each by itself, where it is not what one of this version takes."""
    found = []
    for replica in members:
        divided = len(replica.nodes) > 1
        is_alike = replica.needs == deployment.needs and not divided and deployment.group is None
        if replica.version != deployment.version and not is_alike:
            held = {id_: [it.resources for it in replica.bundles if it.node == id_] for id_ in sorted(replica.nodes)}
            group = bundles.apart(bundles.total(parts) for parts in held.values()) if divided else None
            found.append(Former(replicas=1, resources=replica.needs, group=group))
    return tuple(found)


def _tries(deployment: Deployment) -> int:
    """Return how many starts may fail in a row: three for each replica at most, as in Ray Serve."""
    given = deployment.max_constructor_retry_count
    return FAILING_AFTER if given is None else min(given, FAILING_AFTER * max(1, deployment.count))


def _message(world: World, serving: Serving, deployment: Deployment, members: list[Replica]) -> str:
    crashes = world.crashes.get((serving.target.application, deployment.name, deployment.version))
    if crashes is not None:
        # What the user's code raised names its deployment already.
        named = crashes.message.startswith("deployment ")
        return crashes.message if named else f"deployment {deployment.name!r}: {crashes.message}"
    starting = [r for r in members if r.version == deployment.version and not r.is_ready and not r.is_leaving]
    if starting:
        slow = next((f", {r.slow}" for r in starting if r.slow), "")
        return f"deployment {deployment.name!r}: {len(starting)} starting{slow}"
    eligible = placement.eligible(world.nodes, serving.target.groups, world.draining_nodes)
    if not eligible:
        return f"deployment {deployment.name!r}: waiting for a worker"
    limit = deployment.max_replicas_per_node
    if placement.is_full(eligible, members, limit):
        return f"deployment {deployment.name!r}: every worker holds max_replicas_per_node ({limit}) of its replicas"
    if places_of(serving.target, deployment, eligible, tuple(world.replicas.values())):
        return f"deployment {deployment.name!r}: waiting for old replicas to end"
    if deployment.gang is not None:
        size = deployment.gang.size
        return (
            f"deployment {deployment.name!r}: no workers have room for {size} times {_needs(deployment.needs)} at once"
        )
    if deployment.group is not None and not deployment.group.strategy.packs:
        parts = ", ".join(f"({_needs(part)})" for part in deployment.parts)
        return f"deployment {deployment.name!r}: no workers have room for {parts} by {deployment.group.strategy}"
    return f"deployment {deployment.name!r}: no worker has room for {_needs(deployment.needs)}"


def _needs(needs: Resources) -> str:
    parts = [f"{needs.cpu_milli / 1000:g} CPU"] if needs.cpu_milli else []
    parts += [f"{needs.memory_bytes / 2**20:g} MiB"] if needs.memory_bytes else []
    parts += [f"{amount:g} {name}" for name, amount in needs.custom.items()]
    return ", ".join(parts) or "a replica"


def _node(world: World, node: Node) -> NodeStatus:
    return NodeStatus(
        name=node.name,
        group=node.group,
        template=node.template,
        replicas=sum(node.id in r.nodes for r in world.replicas.values()),
        cpu_milli=0 if node.bundles_only else node.cpu_milli or 0,
        draining=node.id in world.draining_nodes,
    )
