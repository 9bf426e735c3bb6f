"""An application in this process, for unit tests: built as `graph.build` does, called as the proxy and handles do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx

from remora.graph.application import Application
from remora.handle import DeploymentHandle, runtime
from remora.handle.response import DeploymentResponseGenerator
from remora.local.in_process import InProcess
from remora.replica.user import UserCallable

APPLICATION = "shop"


class Shop(InProcess):
    """The application of a test."""

    @property
    def replicas_by_name(self) -> dict[str, UserCallable]:
        return {name: self.replica(APPLICATION, name) for name in self.deployments(APPLICATION)}

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(partial(self.asgi, APPLICATION))
        return httpx.AsyncClient(transport=transport, base_url="http://test")

    def handle(self, deployment: str = "") -> DeploymentHandle:
        return DeploymentHandle(deployment, APPLICATION)


def streamed(response: object) -> DeploymentResponseGenerator:
    """Return what a call with `stream=True` gave, as what it is."""
    assert isinstance(response, DeploymentResponseGenerator)
    return response


@asynccontextmanager
async def serving(app: Application) -> AsyncIterator[Shop]:
    """Serve the application while the block runs."""
    logging.getLogger("remora.serve").setLevel(logging.INFO)
    shop = Shop()
    runtime.set_caller(shop, asyncio.get_running_loop())
    try:
        await shop.deploy(APPLICATION, app)
        yield shop
    finally:
        await shop.close()
        runtime.set_caller(None)
