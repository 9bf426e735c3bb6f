"""Applications in this very process: no Ray, no sockets, one replica of each deployment.

A types.Caller that finds the callee here. Behind `serve.run(app, _local_testing_mode=True)`, for unit tests of
applications; values cross by pickling, as they do between replicas.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remora.errors import DeploymentUnavailable, ReplicaUnavailableError
from remora.graph import build
from remora.types import CallMetadata, Payload

if TYPE_CHECKING:
    from remora.graph.application import Application
    from remora.replica.user import UserCallable


class InProcess:
    """Belongs to the loop that it serves on."""

    def __init__(self) -> None:
        self._ingress: dict[str, str] = {}
        self._replicas: dict[tuple[str, str], UserCallable] = {}

    async def deploy(self, name: str, app: Application) -> None:
        """Construct every deployment, replacing an application of the same name; raise what construction does."""
        from remora.replica.user import Identity, UserCallable

        built = build.build(app)
        await self.delete(name)
        made: dict[tuple[str, str], UserCallable] = {}
        for deployment in built.deployments:
            identity = Identity(name, f"{name}#{deployment.name}#1", deployment.max_ongoing_requests)
            # A task of its own: the constructor's context stays in it.
            creating = UserCallable.create(built.definitions[deployment.digest], identity, deployment.user_config)
            made[name, deployment.name] = await asyncio.create_task(creating)
            # Those after it may call it in their constructors.
            self._replicas[name, deployment.name] = made[name, deployment.name]
        self._ingress[name] = built.ingress

    async def delete(self, name: str) -> None:
        """Take an application away; nothing happens when there is none."""
        self._ingress.pop(name, None)
        for key in [key for key in self._replicas if key[0] == name]:
            await self._replicas.pop(key).close()

    async def close(self) -> None:
        """Take everything away."""
        for name in {name for name, _ in self._replicas}:
            await self.delete(name)

    @property
    def applications(self) -> tuple[str, ...]:
        """Names of the applications."""
        return tuple(self._ingress)

    def deployments(self, application: str) -> tuple[str, ...]:
        """Names of an application's deployments."""
        return tuple(deployment for name, deployment in self._replicas if name == application)

    def replica(self, application: str, deployment: str = "") -> UserCallable:
        """Return the replica of a deployment, of the ingress when none is named; raise DeploymentUnavailable."""
        found = self._replicas.get((application, deployment or self._ingress.get(application, "")))
        if found is None:
            raise DeploymentUnavailable(f"no deployment {deployment!r} of application {application!r} runs here")
        return found

    async def asgi(self, application: str, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP request by the ingress."""
        await asyncio.create_task(self.replica(application).asgi(scope, receive, send))

    # ── types.Caller ─────────────────────────────────────────────────────────────────────────────────────────────

    async def call(self, application: str, deployment: str, metadata: CallMetadata, payload: Payload) -> Payload:
        """Run one call, in a task of its own, as on a replica."""
        return await asyncio.create_task(self.replica(application, deployment).call(metadata, payload))

    async def stream(
        self, application: str, deployment: str, metadata: CallMetadata, payload: Payload
    ) -> AsyncGenerator[Payload]:
        """Run one streaming call."""
        async with aclosing(self.replica(application, deployment).stream(metadata, payload)) as items:
            async for item in items:
                yield item

    async def replicas(self, application: str, deployment: str) -> tuple[str, ...]:
        """Return the name of the one replica."""
        return (self.replica(application, deployment).name,)

    async def reserve(self, application: str, deployment: str, metadata: CallMetadata, replica: str = "") -> Place:
        """Return a place on the one replica."""
        found = self.replica(application, deployment)
        if replica and replica != found.name:
            raise ReplicaUnavailableError(f"replica {replica} is no longer available")
        return Place(self, application, deployment, found.name)

    def knows(self, application: str, deployment: str) -> bool:
        """Return whether the deployment is here."""
        return (application, deployment or self._ingress.get(application, "")) in self._replicas


@dataclass(slots=True)
class Place:
    """A types.Reservation: nothing is limited here."""

    _caller: InProcess
    _application: str
    _deployment: str
    replica: str
    host: str = "127.0.0.1"
    port: int = 0
    node: str = ""

    async def call(self, metadata: CallMetadata, payload: Payload) -> Payload:
        """Run the call."""
        return await self._caller.call(self._application, self._deployment, metadata, payload)

    def stream(self, metadata: CallMetadata, payload: Payload) -> AsyncGenerator[Payload]:
        """Run the streaming call."""
        return self._caller.stream(self._application, self._deployment, metadata, payload)

    def release(self) -> None:
        """Do nothing."""
