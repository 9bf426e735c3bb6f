"""Where `remora.testing` serves applications: a real proxy and real replica servers, in a thread of this process.

    test ──HTTP──▶ proxy ──framed socket──▶ replica server ──▶ user's object        (all on one event loop)

What a controller would tell the router, addresses of replicas, is told here.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar

from remora.errors import RemoraError
from remora.graph import build
from remora.graph.result import BuildResult
from remora.handle import runtime
from remora.local import fixed
from remora.proxy.server import ProxyServer
from remora.proxy.settings import Settings
from remora.replica import facts
from remora.replica.server import ReplicaServer
from remora.replica.user import Identity, UserCallable
from remora_api.wire import ApplicationRoutes, DeploymentRoutes

T = TypeVar("T")

ANSWER_S: Final = 2.0
"""In which the stage's loop answers unless user code blocks it."""


@dataclass(slots=True)
class _Served:
    """One application."""

    route_prefix: str
    ingress: str
    replicas: dict[str, tuple[UserCallable, ReplicaServer, DeploymentRoutes]] = field(default_factory=dict)
    telling: list[asyncio.Task[None]] = field(default_factory=list)
    """What its replicas let routers know of themselves."""


class Stage:
    """One in a process, while anybody uses it: `shared`, then `leave`."""

    _the: ClassVar[Stage | None] = None
    _users: ClassVar[int] = 0
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._key = secrets.token_hex(16)
        self._served: dict[str, _Served] = {}
        self._constructing = ""
        self._version = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="remora-testing", daemon=True)
        self._thread.start()
        self._proxy: ProxyServer = self.wait(self._start(), 10)

    @classmethod
    def shared(cls) -> Stage:
        """Return the process's stage, started when nobody had it."""
        with cls._lock:
            if cls._the is None:
                cls._the = cls()
            cls._users += 1
            return cls._the

    def leave(self) -> None:
        """Give it back; the last one ends it."""
        with self._lock:
            if Stage._the is not self:
                return  # It was given up.
            Stage._users -= 1
            if Stage._users:
                return
            Stage._the = None
        self.wait(self._stop(), 10)
        # Its threads are told to end by closing the loop, too, but not waited for.
        self.wait(self._loop.shutdown_default_executor(), 10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def given_up(self, name: str, timeout_s: float) -> RemoraError:
        """Return what to say of an application that was not there in time.

        A constructor that blocks the loop cannot be ended: the stage is left to it, and the next test gets another.
        """
        try:
            self.wait(asyncio.sleep(0), ANSWER_S)
        except TimeoutError:
            with self._lock:
                if Stage._the is self:
                    Stage._the, Stage._users = None, 0
                    runtime.set_caller(None)
        which = f"deployment {self._constructing!r}: its constructor" if self._constructing else f"application {name!r}"
        return RemoraError(f"{which} did not return within {timeout_s:g} s")

    def wait(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Do work on the stage's loop, from another thread; raise TimeoutError when it takes longer."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    @property
    def url(self) -> str:
        """Where the proxy takes requests."""
        return f"http://{fixed.HOST}:{self._proxy.port}"

    async def deploy(self, app: Any, name: str, route_prefix: str, args: Mapping[str, Any]) -> None:
        """Construct every deployment and route the application; raise what construction does."""
        taken = next((n for n, other in self._served.items() if n == name or other.route_prefix == route_prefix), None)
        if taken is not None:
            raise RemoraError(f"application {taken!r} is served already: give this one a name and route_prefix")
        found = build.resolve(app, args) if isinstance(app, str) else build.as_application(app, args)
        served = await asyncio.to_thread(build.build, found)
        self._served[name] = _Served(route_prefix, served.ingress)
        try:
            for deployment in served.deployments:
                await self._construct(name, deployment.name, served)
        except BaseException:
            await self.remove(name)
            raise
        self._tell()
        # From here on no request waits for a connection.
        for deployment in served.deployments:
            await self._proxy.router.replicas(name, deployment.name)

    async def remove(self, name: str) -> None:
        """Take an application away, letting its requests finish; nothing happens when there is none."""
        gone = self._served.pop(name, None)
        if gone is None:
            return
        self._tell()
        for task in gone.telling:
            task.cancel()
        for user, server, _ in reversed(gone.replicas.values()):
            await server.drain(0)
            await server.stop()
            await user.close()

    async def _construct(self, name: str, deployment: str, built: BuildResult) -> None:
        one = next(found for found in built.deployments if found.name == deployment)
        replica, limit = fixed.replica_id(name, deployment), one.max_ongoing_requests
        self._constructing = deployment
        creating = UserCallable.create(built.definitions[one.digest], Identity(name, replica, limit), one.user_config)
        # A task of its own, in which the constructor's context stays.
        user = await asyncio.create_task(creating)
        self._constructing = ""
        server = ReplicaServer(
            user, key=self._key, application=name, revision=fixed.REVISION, replica=replica, max_ongoing_requests=limit
        )
        self._served[name].telling.append(asyncio.create_task(facts.keep_telling(user, server.state)))
        port = await server.start(fixed.HOST)
        routes = fixed.deployment_routes(
            name, deployment, port, max_ongoing_requests=limit, max_queued_requests=one.max_queued_requests
        )
        self._served[name].replicas[deployment] = (user, server, routes)
        # Constructors after it may call it.
        self._tell()

    def _tell(self) -> None:
        """Tell the router and the proxy what there is."""
        self._version += 1
        routes = [
            ApplicationRoutes(
                application=name,
                ingress=one.ingress,
                deployments=tuple(routes for _, _, routes in one.replicas.values()),
            )
            for name, one in self._served.items()
        ]
        fixed.tell(self._proxy.router, routes, self._version)
        routing = [
            fixed.routing(name, route_prefix=one.route_prefix)
            for name, one in self._served.items()
            if one.ingress in one.replicas
        ]
        fixed.route(self._proxy, routing, self._version)

    async def _start(self) -> ProxyServer:
        settings = Settings(data_key=self._key, host=fixed.HOST, port=0, admin_port=0, access_log=False)
        proxy = ProxyServer(settings, write=lambda data: None, wall_clock=time.time)  # noqa: TID251 - the edge: its clock
        await proxy.start()
        runtime.set_caller(proxy.router, asyncio.get_running_loop())
        return proxy

    async def _stop(self) -> None:
        runtime.set_caller(None)
        for name in list(self._served):
            await self.remove(name)
        await self._proxy.stop()
        # What user code left behind ends with the block.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._loop.shutdown_default_executor()
