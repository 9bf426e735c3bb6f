"""What `serve.status()` returns: Ray Serve's words for what the controller counts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remora_api import wire


class ApplicationStatus(StrEnum):
    """How an application is."""

    NOT_STARTED = "NOT_STARTED"
    DEPLOYING = "DEPLOYING"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    RUNNING = "RUNNING"
    UNHEALTHY = "UNHEALTHY"
    DELETING = "DELETING"


class DeploymentStatus(StrEnum):
    """How a deployment is."""

    UPDATING = "UPDATING"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    UPSCALING = "UPSCALING"
    DOWNSCALING = "DOWNSCALING"


class DeploymentStatusTrigger(StrEnum):
    """What made it so."""

    UNSPECIFIED = "UNSPECIFIED"
    CONFIG_UPDATE_STARTED = "CONFIG_UPDATE_STARTED"
    CONFIG_UPDATE_COMPLETED = "CONFIG_UPDATE_COMPLETED"
    REPLICA_STARTUP_FAILED = "REPLICA_STARTUP_FAILED"


class ReplicaState(StrEnum):
    """How a replica is."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"


class ProxyStatus(StrEnum):
    """How a proxy is."""

    STARTING = "STARTING"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"
    DRAINED = "DRAINED"


@dataclass(frozen=True)
class DeploymentStatusOverview:
    """One deployment."""

    status: DeploymentStatus
    status_trigger: DeploymentStatusTrigger
    replica_states: Mapping[ReplicaState, int]
    """How many replicas are in each state; states that none is in are left out."""
    message: str


@dataclass(frozen=True)
class ApplicationStatusOverview:
    """One application."""

    status: ApplicationStatus
    message: str
    last_deployed_time_s: float
    """Unix time at which it was deployed last."""
    deployments: Mapping[str, DeploymentStatusOverview]


@dataclass(frozen=True)
class ServeStatus:
    """Everything that runs; empty when nothing does."""

    proxies: Mapping[str, ProxyStatus] = field(default_factory=dict)
    applications: Mapping[str, ApplicationStatusOverview] = field(default_factory=dict)
    target_capacity: float | None = None


def of(
    found: tuple[wire.ApplicationStatus, ...], *, deployed_at: Mapping[str, float], proxies: tuple[str, ...]
) -> ServeStatus:
    """Return what the controller counts in Ray Serve's words.

    `deployed_at` is the Unix time of each application's last deploy, `proxies` the names of proxies that answer.
    """
    return ServeStatus(
        proxies=dict.fromkeys(proxies, ProxyStatus.HEALTHY),
        applications={each.application: _application(each, deployed_at.get(each.application, 0.0)) for each in found},
    )


def _application(found: wire.ApplicationStatus, deployed_at: float) -> ApplicationStatusOverview:
    deployments = {each.name: _deployment(each) for each in found.deployments}
    status, message = ApplicationStatus.DEPLOYING, ""
    failed = [each.message for each in deployments.values() if each.status is DeploymentStatus.DEPLOY_FAILED]
    if found.build.state == "Failed" or failed:
        status, message = ApplicationStatus.DEPLOY_FAILED, found.build.message or failed[0]
    elif found.build.state == "Built" and all(d.status is DeploymentStatus.HEALTHY for d in deployments.values()):
        status = ApplicationStatus.RUNNING
    return ApplicationStatusOverview(status, message, deployed_at, deployments)


def _deployment(found: wire.DeploymentStatus) -> DeploymentStatusOverview:
    status, trigger = DeploymentStatus.UPDATING, DeploymentStatusTrigger.CONFIG_UPDATE_STARTED
    if found.failing:
        status, trigger = DeploymentStatus.DEPLOY_FAILED, DeploymentStatusTrigger.REPLICA_STARTUP_FAILED
    elif found.updated >= found.desired:
        status, trigger = DeploymentStatus.HEALTHY, DeploymentStatusTrigger.CONFIG_UPDATE_COMPLETED
    # The count of those that do not serve does not say in which direction they go.
    other = ReplicaState.STARTING if found.ready < found.desired else ReplicaState.STOPPING
    counts = {ReplicaState.RUNNING: found.ready, other: found.total - found.ready}
    states = {state: count for state, count in counts.items() if count > 0}
    return DeploymentStatusOverview(status, trigger, states, found.message)
