"""Routes: which replicas take new requests, as proxies and replicas are told.

Pure. Computed anew from the World each time; `loop` gives it a version when it differs from the last.
"""

from __future__ import annotations

from remora.controller import versions
from remora.controller.state import Deployment, Replica, Serving, World
from remora_api.wire import ApplicationRoutes, DeploymentRoutes, ReplicaAddress

HOLD_S = 600
"""That a request may wait for the first replica of a deployment which has none while nobody asks."""
REPORTS_PER_S = 100
"""That the controller has to take at most, roughly."""


def routes(world: World) -> tuple[ApplicationRoutes, ...]:
    """Return the routes of every application, in a stable order."""
    return tuple(_application(world, name) for name in sorted({*world.targets, *world.serving}))


def _application(world: World, name: str) -> ApplicationRoutes:
    serving = world.serving.get(name)
    if serving is None:
        return ApplicationRoutes(application=name, ingress="")
    deployments = {deployment.name: deployment for deployment in versions.resolve(serving)}
    ready = sorted(
        (r for r in world.replicas.values() if r.application == name and r.is_ready), key=lambda r: (r.started_at, r.id)
    )
    # Deployments that the new code does not have are called by replicas of the old one until those are gone.
    names = [*deployments, *sorted({r.deployment for r in ready} - deployments.keys())]
    return ApplicationRoutes(
        application=name,
        ingress=_ingress(serving, ready),
        deployments=tuple(
            _deployment(world, key, deployments.get(key), [r for r in ready if r.deployment == key]) for key in names
        ),
    )


def _ingress(serving: Serving, ready: list[Replica]) -> str:
    """Return the ingress of the code; while it is a new deployment without replicas, the one before goes on."""
    wanted = serving.graph.ingress
    former = [r.deployment for r in ready if r.ingress and r.deployment != wanted]
    return former[0] if former and not any(r.deployment == wanted for r in ready) else wanted


def _deployment(world: World, name: str, deployment: Deployment | None, ready: list[Replica]) -> DeploymentRoutes:
    return DeploymentRoutes(
        name=name,
        max_queued_requests=deployment.max_queued_requests if deployment else -1,
        replicas=tuple(_address(world, replica, deployment) for replica in ready),
        hold_s=HOLD_S if deployment and deployment.autoscaling and deployment.autoscaling.min_replicas == 0 else None,
        report_s=_report_s(world) if deployment and deployment.autoscaling else 0,
    )


def _report_s(world: World) -> float:
    """Return the seconds between reports of load: one, and more the more processes there are to report."""
    return float(max(1, round(len(world.replicas) / REPORTS_PER_S)))


def _address(world: World, replica: Replica, deployment: Deployment | None) -> ReplicaAddress:
    node = world.nodes.get(replica.node)
    return ReplicaAddress(
        replica=replica.id,
        host=replica.host,
        port=replica.port,
        max_ongoing_requests=deployment.in_place.max_ongoing_requests if deployment else 1,
        revision=replica.revision,
        node=node.name if node else "",
    )
