"""An application behind a proxy, every hop over a real socket: what clients and user code see, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from remora.graph import build
from remora.graph.application import Application
from remora.handle import runtime
from remora.local import fixed
from remora.proxy.server import ProxyServer
from remora.replica.server import ReplicaServer
from remora.replica.user import Identity, UserCallable
from remora.router.router import Router
from remora.tracing.process import traced_caller, traced_service
from remora_api.wire import ApplicationRoutes, DeploymentRoutes
from tests.fakes.processes import proxy
from tests.fakes.services import KEY, until

if TYPE_CHECKING:
    from remora.tracing.tracer import Tracer


@dataclass(slots=True)
class Served:
    """One application, reached at ``url``."""

    name: str
    proxy: ProxyServer
    replicas: dict[str, ReplicaServer]
    users: dict[str, UserCallable]
    client: httpx.AsyncClient

    @property
    def port(self) -> int:
        return self.proxy.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def is_quiet(self) -> bool:
        """Whether nothing goes on any more, in the proxy and in the replicas."""
        return not any(it.ongoing for it in self.replicas.values()) and not self.proxy.metrics.ongoing


@asynccontextmanager
async def served(
    app: Application,
    *,
    name: str = "shop",
    settings: dict[str, Any] | None = None,
    tracer: Tracer | None = None,
    **routing: Any,
) -> AsyncIterator[Served]:
    """Serve each deployment on a port of its own, and the application at a proxy. ``routing``: `ApplicationRouting`."""
    async with AsyncExitStack() as stack:
        router = Router(KEY)
        stack.push_async_callback(router.close)
        runtime.set_caller(traced_caller(router, tracer), asyncio.get_running_loop())
        stack.callback(runtime.set_caller, None)
        built = build.build(app)
        replicas: dict[str, ReplicaServer] = {}
        users: dict[str, UserCallable] = {}
        routes: list[DeploymentRoutes] = []
        for one in built.deployments:
            id, limit = fixed.replica_id(name, one.name), one.max_ongoing_requests
            # A task of its own: it sets context variables.
            creating = UserCallable.create(built.definitions[one.digest], Identity(name, id, limit), one.user_config)
            users[one.name] = user = await asyncio.create_task(creating)
            stack.push_async_callback(user.close)
            server = ReplicaServer(
                traced_service(user, tracer, name, one.name, id),
                key=KEY,
                application=name,
                revision=fixed.REVISION,
                replica=id,
                max_ongoing_requests=limit,
            )
            port = await server.start("127.0.0.1")
            stack.push_async_callback(server.stop)
            replicas[one.name] = server
            routes.append(
                fixed.deployment_routes(
                    name, one.name, port, max_ongoing_requests=limit, max_queued_requests=one.max_queued_requests
                )
            )
        shop = ApplicationRoutes(application=name, ingress=built.ingress, deployments=tuple(routes))
        fixed.tell(router, [shop])
        server_in_front = proxy(tracer=tracer, **settings or {})
        await server_in_front.start()
        stack.push_async_callback(server_in_front.stop)
        fixed.tell(server_in_front.router, [shop])
        fixed.route(server_in_front, [fixed.routing(name, **routing)])
        pool = server_in_front.router.cluster(fixed.CONTROLLER).ingress(name)
        assert pool is not None
        await until(lambda: pool.ready)
        url = f"http://127.0.0.1:{server_in_front.port}"
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=10))
        yield Served(name, server_in_front, replicas, users, client)
