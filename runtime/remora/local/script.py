"""`serve.run` in a program of the user's own: a local instance on a loop in a thread, for as long as the program lives.

The graph is described here, in the user's process (its classes may be those of `__main__`); everything after that is
as in `remora run`.
"""

from __future__ import annotations

import asyncio
import atexit
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from remora.compat import status as statuses
from remora.errors import RemoraError
from remora.local.in_process import InProcess
from remora_api.meta import Port
from remora_api.wire import Target

if TYPE_CHECKING:
    from remora.graph.application import Application
    from remora.graph.result import BuildResult
    from remora.handle import DeploymentHandle
    from remora.local.instance import LocalInstance
    from remora.router.router import Router
    from remora.tracing.settings import TracingSettings
    from remora.tracing.tracer import Tracer

T = TypeVar("T")


class ScriptRunner:
    """Performs serve.start, run, delete, shutdown and status in this process."""

    _the: ClassVar[ScriptRunner | None] = None

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._instance: LocalInstance | None = None
        self._router: Router | None = None
        self._tracer: Tracer | None = None
        self._generation = 0
        self._here = InProcess()
        self._deployed_at: dict[str, float] = {}
        threading.Thread(target=self._loop.run_forever, name="remora", daemon=True).start()
        _at_end(self.shutdown)

    @classmethod
    def the(cls) -> ScriptRunner:
        """Return this process's runner."""
        if cls._the is None:
            cls._the = cls()
        return cls._the

    def start(self, **options: Any) -> None:
        """Start an instance unless there is one."""
        if self._instance is None:
            tracing = _tracing(options.get("tracing_config"))
            self._instance, self._router, self._tracer = self._wait(
                _start(options.get("http_options"), options.get("grpc_options"), tracing)
            )

    def run(
        self, app: Application, *, name: str, route_prefix: str | None, blocking: bool, options: Mapping[str, Any]
    ) -> DeploymentHandle:
        """Deploy the application, wait until it serves, and return a handle to its ingress."""
        if options.get("_local_testing_mode"):
            return self._run_here(app, name)
        from remora.graph.build import build

        built = build(app, _logging(options.get("logging_config")))
        self.start()
        assert self._instance is not None
        self._generation += 1
        # Arguments and classes live in this process only, so each run is a revision of its own, and made from
        # something of its own: its name stands where the import path of a module's application does.
        revision = f"{name}-{secrets.token_hex(4)}"
        target = Target(application=name, generation=self._generation, revision=revision, import_path=revision)
        self._deployed_at[name] = time.time()  # noqa: TID251 - the program's own clock
        self._wait(self._deployed(target, route_prefix, built))
        if blocking:
            self._wait(self._instance.until_ended())
        return self.app_handle(name)

    async def _deployed(self, target: Target, route_prefix: str | None, built: BuildResult) -> None:
        assert self._instance is not None
        assert self._router is not None
        await self._instance.deploy(target, route_prefix, built)
        # Handles of this program call the new version from here on.
        await self._router.reached(self._instance.controller_url, self._instance.routes_version)

    def delete(self, name: str) -> None:
        """Take the application away; no error when there is none."""
        if name in self._here.applications:
            self._delete_here(name)
        elif self._instance is not None:
            self._wait(self._instance.delete(name))

    def shutdown(self) -> None:
        """End the instance and all of its applications."""
        from remora.handle import runtime

        for name in self._here.applications:
            self._delete_here(name)
        instance, router, tracer = self._instance, self._router, self._tracer
        self._instance = self._router = self._tracer = None
        if instance is not None and router is not None:
            runtime.set_caller(None)
            self._wait(router.close())
            self._wait(instance.close())
        if tracer is not None:
            self._wait(tracer.close())

    def status(self) -> statuses.ServeStatus:
        """Return what runs; nothing before serve.run or serve.start."""
        if self._instance is None:
            return statuses.ServeStatus()
        return statuses.of(self._instance.status(), deployed_at=self._deployed_at, proxies=(self._instance.url,))

    def app_handle(self, name: str) -> DeploymentHandle:
        """Return a handle to the application's ingress; raise RemoraError when there is no such application."""
        from remora.handle import DeploymentHandle

        self._deployments(name)
        return DeploymentHandle("", name)

    def deployment_handle(self, deployment: str, application: str) -> DeploymentHandle:
        """Return a handle to a deployment; raise RemoraError when there is no such deployment."""
        from remora.handle import DeploymentHandle

        known = self._deployments(application)
        if deployment not in known:
            raise RemoraError(
                f"application {application!r} has no deployment {deployment!r}; it has {', '.join(sorted(known))}"
            )
        return DeploymentHandle(deployment, application)

    def _deployments(self, application: str) -> tuple[str, ...]:
        """Return the names of an application's deployments, or raise RemoraError."""
        if application in self._here.applications:
            return self._here.deployments(application)
        found = self._instance.status() if self._instance is not None else ()
        for each in found:
            if each.application == application:
                return tuple(deployment.name for deployment in each.deployments)
        known = ", ".join(repr(each.application) for each in found) or "none"
        raise RemoraError(f"Application {application!r} does not exist: serve.run(app, name=…) it; there are: {known}")

    def _run_here(self, app: Application, name: str) -> DeploymentHandle:
        """Run the application in this process: local testing mode."""
        from remora.handle import DeploymentHandle, runtime

        self._wait(self._here.deploy(name, app))
        runtime.set_local(name, runtime.Runtime(self._here, self._loop))
        return DeploymentHandle("", name)

    def _delete_here(self, name: str) -> None:
        from remora.handle import runtime

        runtime.set_local(name, None)
        self._wait(self._here.delete(name))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise


def _at_end(work: Callable[[], None]) -> None:
    """Do it when the program ends, while there are threads yet: `atexit` comes after the last use of a pool.

    It is what `concurrent.futures` ends its own pools by; later ones are called first. Not public, so not relied on.
    """
    getattr(threading, "_register_atexit", atexit.register)(work)


def _logging(given: Any) -> dict[str, Any] | None:
    """Return the application's logging_config, checked; raise OptionError."""
    if given is None:
        return None
    from remora.compat import checking
    from remora.compat.logging_config import LoggingConfig

    return checking.as_dict(LoggingConfig, given, "logging_config of serve.run")


def _tracing(given: Any) -> TracingSettings | None:
    """Return what a tracing_config says; raise OptionError, and TracingFailed where OpenTelemetry is missing."""
    if given is None:
        return None
    from remora.compat import checking
    from remora.compat.tracing_config import TracingConfig
    from remora.tracing.exporters import check_installed

    settings = TracingConfig(**checking.as_dict(TracingConfig, given, "tracing_config of serve.start")).settings
    if settings.is_on:
        check_installed()
    return settings


async def _start(
    http_options: Any, grpc_options: Any, tracing: TracingSettings | None = None
) -> tuple[LocalInstance, Router, Tracer | None]:
    from remora.handle import runtime
    from remora.local.instance import LocalInstance, LocalOptions
    from remora.local.tls import LocalTls
    from remora.router.router import Router
    from remora.routing.choosers import chooser
    from remora.tracing import process
    from remora.tracing.settings import TracingSettings

    http, rpc = _given(http_options), _given(grpc_options)
    functions = rpc.get("grpc_servicer_functions") or ()
    options = LocalOptions(
        host=http.get("host") or "127.0.0.1",
        port=http.get("port") or 8000,
        root_path=http.get("root_path") or "",
        keep_alive_s=http.get("keep_alive_timeout_s"),
        tls=LocalTls.of(http),
        tracing=tracing,
        request_timeout_s=http.get("request_timeout_s"),
        # As in Ray Serve: without a servicer there is no port.
        grpc_port=rpc.get("port") or Port.GRPC if functions else None,
        grpc_servicers=tuple(_path_of(function) for function in functions),
        grpc_timeout_s=rpc.get("request_timeout_s"),
        grpc_reflection=rpc.get("enable_reflection") is not False,
    )
    # Before anything runs that would have to end where this fails.
    tracer = process.tracer_of_program(tracing or TracingSettings.of_ray_serve())
    instance = await LocalInstance.start(options)
    router = Router(instance.data_key, controllers=[instance.controller_url], choosers=chooser)
    await router.start()
    runtime.set_caller(process.traced_caller(router, tracer), asyncio.get_running_loop())
    return instance, router, tracer


def _given(options: Any) -> Mapping[str, Any]:
    return options if isinstance(options, Mapping) else vars(options) if options else {}


def _path_of(function: Any) -> str:
    """Return the import path of a servicer function, which may be given as one."""
    return function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"
