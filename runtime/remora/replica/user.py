"""UserCallable: the user's object on a replica, from its constructor to its end.

Last step of a request: `proxy → replica.server → UserCallable → the user's code`; `replica.server` sees it as a
types.Service. It takes a definition and constructs the object, whose requests then go to `http_calls`, `grpc_calls` and
`handle_calls`, each within the context of its request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from remora.graph.definition import Definition
from remora.multiplexing import unload_all
from remora.replica import construct, failure, logs
from remora.replica import context as replica_context
from remora.replica.care import Care
from remora.replica.context import ReplicaContext
from remora.replica.gang import GangContext
from remora.replica.grpc_calls import GrpcCalls
from remora.replica.handle_calls import HandleCalls
from remora.replica.http_calls import HttpCalls
from remora.replica.ingress import app_of
from remora.replica.lifespan import Lifespan, StartupFailed
from remora.replica.refusals import answer_overload
from remora.replica.servable import Servable
from remora.tasks import CONFIG, UNTOLD_S
from remora.types import FIRST_RANK, ASGIApp, ReplicaRank

if TYPE_CHECKING:
    from remora.tasks.handlers import Consumption

log = logging.getLogger("remora.serve")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which replica this is, and what it is allowed."""

    application: str
    replica: str
    max_ongoing_requests: int = 5
    rank: ReplicaRank = FIRST_RANK
    world_size: int = 1
    code_version: str | None = None
    gang: GangContext | None = None


class UserCallable:
    """The user's object, constructed and serving. Made by `create`; ended by `close`."""

    def __init__(self, found: Definition, instance: Any, app: ASGIApp | None, identity: Identity) -> None:
        """Wrap an object that is constructed already."""
        self._deployment = found.deployment
        self._instance = instance
        self._identity = identity
        self._lifespan = Lifespan(app) if app is not None else None
        self._replica = _context(identity, found.deployment, instance)
        self.request_router = found.router
        self.backpressure = found.backpressure
        self._servable = Servable(found, instance, self._replica, identity.max_ongoing_requests)
        self._care = Care(found.deployment, instance, self._replica)
        self._tasks: Consumption | None = None
        # A `types.Service`, without a frame of its own on the way of each request.
        of_handles = HandleCalls(self._servable)
        self.asgi = HttpCalls(self._servable, app, self._lifespan).asgi
        self.rpc = GrpcCalls(self._servable).rpc
        self.call = of_handles.call
        self.stream = of_handles.stream

    @classmethod
    async def create(
        cls,
        definition: bytes,
        identity: Identity,
        user_config: Any = None,
        *,
        prepare: Callable[[Definition], Awaitable[None]] | None = None,
    ) -> UserCallable:
        """Import the user's module, construct the object, configure it; raise DeploymentFailure.

        `prepare` is awaited before the constructor, which may use what it starts. Handles must have their caller before
        (`handle.runtime.set_caller`): constructors may call.
        """
        found = construct.load(definition, identity.application)
        before = _context(identity, found.deployment)
        replica_context.enter(before)
        if found.logging is not None:
            with failure.of(found.deployment, "its logging_config cannot be applied"):
                logs.configure(
                    found.logging,
                    application=identity.application,
                    deployment=found.deployment,
                    replica=identity.replica.rpartition("#")[2],
                )
        if prepare is not None:
            await prepare(found)
        instance = await construct.construct(found)
        replica_context.enter(replace(before, servable_object=instance))
        with failure.of(found.deployment, "its ASGI application cannot be made"):
            app = app_of(instance)
            answer_overload(app)
        made = cls(found, instance, app, identity)
        if user_config is not None:
            await made._care.configure(user_config, on_loop=True)
        if made._lifespan is not None:
            await made._start(made._lifespan)
        if hasattr(type(instance), CONFIG):
            made._begin_tasks()
        return made

    @property
    def deployment(self) -> str:
        """Name of the deployment."""
        return self._deployment

    @property
    def name(self) -> str:
        """Unique name of the replica."""
        return self._identity.replica

    async def reconfigure(self, user_config: Any, max_ongoing_requests: int | None = None) -> None:
        """Give the object a new user_config, and size its threads; raise DeploymentFailure when its code raises."""
        if max_ongoing_requests is not None:
            self._servable.resize(max_ongoing_requests)
        if user_config is not None:
            await self._care.configure(user_config)

    async def check_health(self) -> None:
        """Ask the object for its health, if it has `check_health`; raise DeploymentFailure when that raises.

        A replica whose tasks have stopped to come is not well either.
        """
        if self._tasks is not None and (problem := self._tasks.problem()):
            raise failure.DeploymentFailure(f"deployment {self._deployment!r}: takes no tasks any more: {problem}")
        await self._care.check_health()

    def records(self, what: str) -> bool:
        """Return whether the object has such a method: `record_routing_stats`, `record_replica_metadata`."""
        return self._care.records(what)

    async def recorded(self, what: str) -> Any:
        """Return what the object records for routers."""
        return await self._care.recorded(what)

    async def stop_tasks(self, timeout_s: float = UNTOLD_S) -> None:
        """Take no more tasks from the object's queue, if it has one, and give those that run `timeout_s` to end."""
        if self._tasks is not None:
            await asyncio.to_thread(self._tasks.stop, timeout_s)

    def tasks_run_on(self) -> bool:
        """Return whether tasks run on that had to end by now: they are in their queue again, for other replicas."""
        return self._tasks is not None and self._tasks.runs_on()

    async def close(self) -> None:
        """End the object's tasks, its ASGI application and itself; what its code raises is logged."""
        replica_context.enter(self._replica)
        await self.stop_tasks()
        if self._lifespan is not None:
            await self._lifespan.shutdown()
        await unload_all()
        try:
            await construct.destroy(self._instance)
        except Exception:
            log.exception("deployment %r: __del__ failed", self._deployment)
        self._care.close()
        self._servable.close()

    def _begin_tasks(self) -> None:
        """Take tasks from the object's queue from now on, on the loop, where its constructor ran, too."""
        from remora.tasks.handlers import Consumption

        replica_context.enter(self._replica)
        with failure.of(self._deployment, "its task consumer cannot start"):
            self._tasks = Consumption.start(self._instance, self._identity.max_ongoing_requests)

    async def _start(self, lifespan: Lifespan) -> None:
        try:
            await lifespan.startup()
        except StartupFailed as error:
            lines = str(error).strip().splitlines() or ["it gave no reason"]
            raise failure.DeploymentFailure(
                f"deployment {self._deployment!r}: its ASGI application cannot start: {lines[-1]}", str(error)
            ) from None


def _context(identity: Identity, deployment: str, instance: Any = None) -> ReplicaContext:
    return ReplicaContext(
        identity.application,
        deployment,
        identity.replica,
        instance,
        identity.rank,
        identity.world_size,
        gang_context=identity.gang,
        code_version=identity.code_version,
    )
