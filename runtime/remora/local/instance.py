"""One Remora on this machine, for one process's life: controller on the caller's loop, proxy, Ray, replicas."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from remora.controller.connection import ClusterLost
from remora.controller.settings import START_TIMEOUT_S
from remora.graph.result import BuildResult
from remora.local import port
from remora.local.errors import CannotServe
from remora.local.ground import Ground, data_key_file
from remora.local.proxy import LocalProxy
from remora.proxy.routes import RouteTable
from remora_api.wire import (
    ApplicationRouting,
    ApplicationStatus,
    BuildState,
    ControllerEndpoint,
    DeploymentStatus,
    Target,
)

if TYPE_CHECKING:
    from remora.controller.loop import Controller
    from remora.local.tls import LocalTls
    from remora.tracing.settings import TracingSettings

log = logging.getLogger("remora.local")

STATUS_POLL_S = 5.0
END_S = 10.0
Statuses = tuple[ApplicationStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """How an instance is reached, and what its processes see."""

    host: str = "127.0.0.1"
    port: int = 8000
    root_path: str = ""
    """Where a proxy in front of the instance's own has put it."""
    keep_alive_s: int | None = None
    """How long a client's connection may be idle; None is as long as the proxy's own default."""
    request_timeout_s: float | None = None
    """Of applications that say nothing of it themselves."""
    tls: LocalTls | None = None
    """HTTPS in the place of HTTP."""
    tracing: TracingSettings | None = None
    """None is what Ray Serve's environment variables say."""
    grpc_port: int | None = None
    """Serve gRPC there, too."""
    grpc_servicers: tuple[str, ...] = ()
    """Import paths of the functions that register services."""
    grpc_reflection: bool = True
    """Tell gRPC clients that ask which services there are."""
    grpc_timeout_s: float | None = None
    ray_address: str = ""
    """Of a running Ray on this machine; empty starts one."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of replicas."""
    start_timeout_s: float = START_TIMEOUT_S
    """What a replica has for its constructor."""


class LocalInstance:
    """Made by `start`, ended by `close`. All methods belong to the loop that `start` ran on."""

    def __init__(
        self,
        options: LocalOptions,
        ground: Ground,
        listening: socket.socket,
        serving: asyncio.Task[None],
        controller: Controller,
        proxy: LocalProxy,
    ) -> None:
        self.data_key = ground.controller.data_key
        self._options = options
        self._ground = ground
        self._listening = listening
        self._serving = serving
        self._controller = controller
        self._proxy = proxy
        self._routed: dict[str, ApplicationRouting] = {}

    @property
    def url(self) -> str:
        """Where the proxy takes requests."""
        scheme = "http" if self._options.tls is None else "https"
        return f"{scheme}://{self._options.host}:{self._options.port}"

    @property
    def controller_url(self) -> str:
        """Where the controller listens."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    @staticmethod
    def check(options: LocalOptions) -> None:
        """Raise CannotServe when it cannot be started so, as its port is taken."""
        port.check(options.host, options.port)

    @classmethod
    async def start(cls, options: LocalOptions, ground: Ground | None = None) -> LocalInstance:
        """Start controller, proxy, and Ray unless this process has one, all at once; raise CannotServe.

        A ground that was begun before, for options that were checked, is the instance's from here on.
        """
        if ground is None:
            cls.check(options)
            ground = await Ground.begin(
                options.ray_address, options.env, options.start_timeout_s, tracing=options.tracing
            )
        try:
            proxy = await LocalProxy.start(
                ground.proxy,
                host=options.host,
                port=options.port,
                data_key_file=data_key_file(ground.folder),
                root_path=options.root_path,
                keep_alive_s=options.keep_alive_s,
                grpc_port=options.grpc_port,
                tls=options.tls,
            )
        except BaseException:
            await ground.close()
            raise
        from remora.controller import process

        listening = process.listen(ground.controller)
        made: asyncio.Future[Controller] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            process.serve(ground.controller, listening, made, asyncio.shield(ground.connecting))
        )
        return cls(options, ground, listening, serving, await made, proxy)

    async def build(
        self, target: Target, runtime_env: Mapping[str, Any], logging_config: Mapping[str, Any] | None = None
    ) -> BuildResult:
        """Import an application in what Ray sets up; raise CannotServe with what is wrong with it or with that."""
        from remora.local import graph

        await asyncio.shield(self._ground.connecting)
        return await graph.build_in(runtime_env, target, logging_config)

    async def deploy(
        self,
        target: Target,
        route_prefix: str | None,
        built: BuildResult,
        *,
        request_timeout_s: float | None = None,
        grpc_servicers: tuple[str, ...] = (),
    ) -> None:
        """Serve an application and wait until all its replicas do; raise CannotServe with the reason if it cannot.

        Without a route prefix only handles reach it.
        """
        self._raise_if_ended()
        options = self._options
        _check_prefix(target.application, route_prefix, self._routed.values())
        self._controller.deploy(target, built)
        routing = None
        if route_prefix is not None:
            routing = ApplicationRouting(
                application=target.application,
                route_prefix=route_prefix,
                controllers=(ControllerEndpoint(url=self.controller_url),),
                request_timeout_s=request_timeout_s or options.request_timeout_s,
                grpc_servicers=grpc_servicers or options.grpc_servicers,
                grpc_reflection=options.grpc_reflection,
                grpc_timeout_s=request_timeout_s or options.grpc_timeout_s,
            )
        if not self._takes_paths(routing):
            # At once: who asks for it while it starts is told so.
            self._route(target.application, routing)
        await self._proxy.route(tuple(self._routed.values()))
        await self._until(lambda found: _is_served(found, target))
        await self._until_alone(target.application)
        if self._routed.get(target.application) != routing:
            self._route(target.application, routing)
            await self._proxy.reached(self.controller_url, self.routes_version)
        has_ingress = route_prefix is not None and any(
            d.ingress and d.desired for d in self._deployments(target.application)
        )
        await self._proxy.route(tuple(self._routed.values()), awaited=target.application if has_ingress else "")
        await self._proxy.reached(self.controller_url, self.routes_version)

    def _route(self, application: str, routing: ApplicationRouting | None) -> None:
        self._routed.pop(application, None)
        if routing is not None:
            self._routed[application] = routing

    def _takes_paths(self, routing: ApplicationRouting | None) -> bool:
        """Return whether another application answers now where this one will: it goes on until this one can."""
        if routing is None:
            return False
        found = RouteTable(self._routed.values()).match(routing.route_prefix)
        return found is not None and found[1].application != routing.application

    async def delete(self, application: str) -> None:
        """Stop serving an application and wait until its replicas are gone; nothing happens when there is none."""
        from remora.controller.events import TargetDeleted

        self._routed.pop(application, None)
        await self._proxy.route(tuple(self._routed.values()))
        self._controller.tell(TargetDeleted(application))
        await self._until(lambda found: all(status.application != application for status in found))
        await self._controller.shared_ended()

    @property
    def routes_version(self) -> int:
        """Which version of its routes the controller has published: who has reached it knows of all deploys."""
        return self._controller.routes.version

    def status(self) -> Statuses:
        """Return what runs."""
        applications, _ = self._controller.status.latest or ((), ())
        return applications

    def ignored(self, application: str) -> str:
        """Return what of the target has no effect with this code; empty if all has."""
        return next((it.build.message for it in self.status() if it.application == application), "")

    def counts(self, application: str) -> Mapping[str, int]:
        """Return how many replicas each deployment of an application has to have."""
        return {deployment.name: deployment.desired for deployment in self._deployments(application)}

    def _deployments(self, application: str) -> tuple[DeploymentStatus, ...]:
        return next((found.deployments for found in self.status() if found.application == application), ())

    async def _until_alone(self, application: str) -> None:
        """Wait until no replica of an earlier version of the application is in the routes."""
        version = 0
        while True:
            names = {deployment.name for deployment in self._deployments(application)}
            found = await self._controller.routes.newer(self._controller.epoch, version, STATUS_POLL_S)
            self._raise_if_ended()
            if found is None:
                continue
            version, routes = found
            served = {d.name for r in routes if r.application == application for d in r.deployments if d.replicas}
            if served <= names:
                return

    async def until_ended(self) -> None:
        """Wait until the controller or the proxy ends, which neither should, and raise CannotServe."""
        proxy = asyncio.create_task(self._proxy.wait())
        await asyncio.wait([self._serving, proxy], return_when=asyncio.FIRST_COMPLETED)
        self._raise_if_ended()
        raise CannotServe(self._proxy.last_words())

    def mute(self) -> None:
        """Let replicas print nothing more on the terminal."""
        self._ground.mute()

    async def close(self) -> None:
        """End everything that `start` began."""
        await self._proxy.stop()
        await self._end_replicas()
        self._serving.cancel()
        await asyncio.wait([self._serving])
        await self._ground.close()

    async def _end_replicas(self) -> None:
        """Let every replica finish and close what the user's code opened; an instance that never served has none."""
        if self._serving.done() or self._controller.status.latest is None:
            return
        from remora.controller.events import TargetDeleted

        for application in {*self._routed, *(found.application for found in self.status())}:
            self._controller.tell(TargetDeleted(application))
        try:
            async with asyncio.timeout(END_S):
                await self._until(lambda found: not found)
                await self._controller.shared_ended()
        except TimeoutError:
            log.warning("some replicas did not end within %g s", END_S)

    async def _until(self, holds: Callable[[Statuses], bool]) -> None:
        version = 0
        while True:
            news = asyncio.create_task(self._controller.status.newer(self._controller.epoch, version, STATUS_POLL_S))
            await asyncio.wait([news, self._serving], return_when=asyncio.FIRST_COMPLETED)
            self._raise_if_ended()
            found = await news
            if found is not None:
                version, (applications, _) = found
                if holds(applications):
                    return

    def _raise_if_ended(self) -> None:
        if not self._serving.done():
            return
        try:
            self._serving.result()
        except ExceptionGroup as group:
            lost, _ = group.split(ClusterLost)
            if lost is None:
                raise
            raise CannotServe(str(_first(lost))) from group


def _is_served(applications: Statuses, target: Target) -> bool:
    """Tell whether every replica is as the target wants it; raise CannotServe when that will not come."""
    for found in applications:
        if (found.application, found.generation, found.revision) == (
            target.application,
            target.generation,
            target.revision,
        ):
            if found.build.state is BuildState.FAILED:
                raise CannotServe(found.build.message)
            for deployment in found.deployments:
                if deployment.failing:
                    raise CannotServe(deployment.message)
            # Those that serve are all of the target's version, too.
            complete = all(each.updated >= each.desired and each.ready == each.updated for each in found.deployments)
            return found.build.state is BuildState.BUILT and complete
    return False


def _check_prefix(application: str, prefix: str | None, routed: Iterable[ApplicationRouting]) -> None:
    for other in routed:
        if other.application != application and prefix is not None and other.route_prefix == prefix:
            raise CannotServe(
                f"route_prefix {prefix!r} of application {application!r} is that of application "
                f"{other.application!r}: give another, or delete that one first"
            )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
