"""Routes of what runs without a controller: routers and proxies are told directly, as a controller would tell them.

For applications in the test process (`stage`), and for tests and benchmarks of the data plane alone. One replica a
deployment, on this machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from remora.proxy.server import ProxyServer
from remora.router.router import Router
from remora_api.wire import (
    ApplicationRoutes,
    ApplicationRouting,
    ControllerEndpoint,
    DeploymentRoutes,
    ReplicaAddress,
    RoutesSnapshot,
    Routing,
)

HOST: Final = "127.0.0.1"
CONTROLLER: Final = "http://here"
"""Stands for a controller's address; nobody asks it."""
REVISION: Final = "1"


def replica_id(application: str, deployment: str) -> str:
    """Return the name of the one replica of a deployment."""
    return f"{application}#{deployment}#1"


def deployment_routes(
    application: str, deployment: str, port: int, *, max_ongoing_requests: int, max_queued_requests: int = -1
) -> DeploymentRoutes:
    """Return how routers find the replica of a deployment, which listens at ``port``."""
    address = ReplicaAddress(
        replica=replica_id(application, deployment),
        host=HOST,
        port=port,
        max_ongoing_requests=max_ongoing_requests,
        revision=REVISION,
    )
    return DeploymentRoutes(name=deployment, max_queued_requests=max_queued_requests, replicas=(address,))


def tell(router: Router, applications: Iterable[ApplicationRoutes], version: int = 1) -> None:
    """Let a router know where the deployments of these applications are, instead of what it was told before."""
    snapshot = RoutesSnapshot(epoch="1", version=version, applications=tuple(applications))
    router.cluster(CONTROLLER).update(snapshot)


def routing(application: str, **given: Any) -> ApplicationRouting:
    """Return how proxies serve an application; ``given`` are other fields of `ApplicationRouting`."""
    return ApplicationRouting(application=application, controllers=(ControllerEndpoint(url=CONTROLLER),), **given)


def route(proxy: ProxyServer, applications: Iterable[ApplicationRouting], version: int = 1) -> None:
    """Let a proxy serve these applications, and no others."""
    proxy.routing.apply(Routing(version=version, applications=tuple(applications)))
