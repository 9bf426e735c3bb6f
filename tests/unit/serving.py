"""An application in this process, for unit tests: built as `graph.build` does, called as the proxy and handles do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from remora.graph import build
from remora.graph.application import Application
from remora.handle import DeploymentHandle, runtime
from remora.replica.user import Identity, UserCallable
from remora.types import CallMetadata, Payload

APPLICATION = "shop"


class InProcess:
    """A types.Caller that finds the callee in this process; each call runs in a task of its own, as on a replica."""

    def __init__(self) -> None:
        self.replicas: dict[str, UserCallable] = {}
        self.ingress = ""

    async def call(self, application: str, deployment: str, metadata: CallMetadata, payload: Payload) -> Payload:
        assert application == APPLICATION
        return await asyncio.create_task(self.replicas[deployment or self.ingress].call(metadata, payload))

    async def stream(
        self, application: str, deployment: str, metadata: CallMetadata, payload: Payload
    ) -> AsyncIterator[Payload]:
        async for item in self.replicas[deployment or self.ingress].stream(metadata, payload):
            yield item

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.create_task(self.replicas[self.ingress].asgi(scope, receive, send))

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.asgi), base_url="http://test")

    def handle(self, deployment: str = "") -> DeploymentHandle:
        return DeploymentHandle(deployment, APPLICATION)


@asynccontextmanager
async def serving(app: Application) -> AsyncIterator[InProcess]:
    """Serve the application while the block runs."""
    logging.getLogger("remora.serve").setLevel(logging.INFO)
    built = build.build(app)
    caller = InProcess()
    caller.ingress = built.ingress
    runtime.set_caller(caller, asyncio.get_running_loop())
    try:
        for deployment in built.deployments:
            identity = Identity(APPLICATION, f"{APPLICATION}#{deployment.name}#1", deployment.max_ongoing_requests)
            caller.replicas[deployment.name] = await asyncio.create_task(
                UserCallable.create(built.definitions[deployment.digest], identity, deployment.user_config)
            )
        yield caller
    finally:
        for replica in caller.replicas.values():
            await replica.close()
        runtime.set_caller(None)
