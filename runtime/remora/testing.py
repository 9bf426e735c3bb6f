"""For tests of applications: one in this process, without Ray, as `remora run` and a cluster would serve it.

    from remora import testing

    def test_it_greets():
        with testing.application("hello:app") as client:
            assert client.get("/?name=Ada").text == "Hello, Ada!"
            assert client.handle("Greeter").greet.remote("Ada").result() == "Hello, Ada!"

The proxy, the sockets between it and the replicas, request limits, streaming and handles are the real ones; there is
one replica of each deployment, on one event loop in a thread. Classes of importable modules are the very ones that the
test sees, so that it can patch them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from remora.graph.application import Application
from remora.graph.deployment import Deployment
from remora.local.client import Answer, AsyncClient, Client
from remora.local.stage import Stage

__all__ = ["Answer", "AsyncClient", "Client", "application", "async_application"]

START_S = 60.0


@contextmanager
def application(
    app: Application | Deployment | str | Any,
    *,
    name: str = "default",
    route_prefix: str = "/",
    args: Mapping[str, Any] | None = None,
    start_timeout_s: float = START_S,
) -> Iterator[Client]:
    """Serve an application while the block runs; several may be open at a time, under names and prefixes of their own.

    `app` is what `serve.run` takes, an import path (``module:app``), or a builder function, which gets `args`.
    Raises GraphError for what is no application, DeploymentFailure when a constructor raises, RemoraError when the
    name or the prefix is taken, and when a constructor does not return in time.
    """
    stage = Stage.shared()
    try:
        try:
            stage.wait(stage.deploy(app, name, route_prefix, args or {}), start_timeout_s)
        except TimeoutError:
            raise stage.given_up(name, start_timeout_s) from None
        try:
            yield Client(stage.url, name, route_prefix)
        finally:
            stage.wait(stage.remove(name), START_S)
    finally:
        stage.leave()


@asynccontextmanager
async def async_application(
    app: Application | Deployment | str | Any,
    *,
    name: str = "default",
    route_prefix: str = "/",
    args: Mapping[str, Any] | None = None,
    start_timeout_s: float = START_S,
) -> AsyncIterator[AsyncClient]:
    """Serve an application while the block runs, for tests that are coroutines: as `application`."""
    entered = application(app, name=name, route_prefix=route_prefix, args=args, start_timeout_s=start_timeout_s)
    client = await asyncio.to_thread(entered.__enter__)
    try:
        yield AsyncClient(client)
    finally:
        await asyncio.to_thread(entered.__exit__, None, None, None)
