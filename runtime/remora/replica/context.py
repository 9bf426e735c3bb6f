"""The replica that user code runs on: `serve.get_replica_context()`."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from remora.errors import RemoraError
from remora.handle import context as request_context
from remora.handle.identity import DeploymentID, ReplicaID
from remora.replica.gang import GangContext
from remora.types import FIRST_RANK, ReplicaRank


@dataclass(frozen=True, slots=True, eq=False)
class ReplicaContext:
    """Which replica this is. `servable_object` is the user's instance or function; None while it is constructed."""

    app_name: str
    deployment: str
    replica_tag: str
    """Unique id of the replica."""
    servable_object: Any = None
    rank: ReplicaRank = FIRST_RANK
    world_size: int = 1
    """Replicas that the deployment was to have when this one was started."""
    gang_context: GangContext | None = None
    """None for a replica that is on its own."""
    code_version: str | None = None
    """Alike for the replicas of one version, which share their deployment actors; None where nothing is versioned."""

    @property
    def replica_id(self) -> ReplicaID:
        """The replica and whose it is, as request routers and policies know it."""
        return ReplicaID.of(self.replica_tag, self.app_name, self.deployment)


@dataclass(frozen=True, slots=True)
class DeploymentActorContext:
    """Which deployment actor this process is: `serve.get_deployment_actor_context()`."""

    deployment_id: DeploymentID
    actor_name: str
    code_version: str | None = None

    @property
    def app_name(self) -> str:
        """Name of the application."""
        return self.deployment_id.app_name

    @property
    def deployment(self) -> str:
        """Name of the deployment."""
        return self.deployment_id.name


_replica: ContextVar[ReplicaContext | None] = ContextVar("remora_replica", default=None)
_last: ReplicaContext | None = None
_is_own = False


def claim() -> None:
    """Make this process a replica's own: threads that user code starts have no context but the last that was entered.

    In a process that is more than one replica (local testing, unit tests) such threads have none.
    """
    global _is_own
    _is_own = True


def enter(context: ReplicaContext) -> None:
    """Make the context that of the current task."""
    global _last
    if _is_own:
        _last = context
    _replica.set(context)


def current() -> ReplicaContext | None:
    """Return the replica that this code runs on, if it is one."""
    return _replica.get() or _last


def _get_internal_replica_context() -> ReplicaContext | None:
    """Return the replica that this code runs on, if it is one: the name under which Ray Serve's own guides ask."""
    return current()


def _get_serve_request_context() -> request_context.RequestContext:
    """Return the request that this code works on, as programs ask Ray Serve for its id; an empty one outside of any."""
    return request_context.current()


def get_replica_context() -> ReplicaContext:
    """Return the replica that this code runs on; raise RemoraError outside of replicas."""
    context = current()
    if context is None:
        raise RemoraError("serve.get_replica_context() works in a deployment's methods only, on a replica")
    return context
