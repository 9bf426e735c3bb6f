"""The `serve` namespace: what users write applications with. `from remora import serve`.

Light: importing it imports neither Ray nor a web framework. Who runs applications is said by `runner`, and is `local`
in a program of the user's own; what describes them is in `graph`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from remora import local, metrics, runner
from remora.batching import batch
from remora.compat import config, schema
from remora.errors import OptionError, RemoraError
from remora.graph import prefix
from remora.graph.application import Application
from remora.graph.deployment import Deployment, deployment
from remora.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator
from remora.handle import context as request_context
from remora.multiplexing import multiplexed
from remora.replica import context as replica_context
from remora.replica.context import DeploymentActorContext, ReplicaContext, get_replica_context
from remora.runner import Runner
from remora.tracing.context import get_trace_context

__all__ = [
    "Application",
    "Deployment",
    "DeploymentHandle",
    "DeploymentResponse",
    "DeploymentResponseGenerator",
    "ReplicaContext",
    "RunTarget",
    "batch",
    "delete",
    "deployment",
    "get_app_handle",
    "get_deployment_actor",
    "get_deployment_actor_context",
    "get_deployment_handle",
    "get_multiplexed_model_id",
    "get_replica_context",
    "get_trace_context",
    "ingress",
    "metrics",
    "multiplexed",
    "run",
    "run_many",
    "shutdown",
    "shutdown_async",
    "start",
    "status",
]

DEFAULT_APP_NAME = "default"


def __getattr__(name: str) -> Any:
    """Say of a name that Ray Serve has and Remora has not that it is missing, not misspelt."""
    if name in ("ControllerOptions", "HTTPOptions"):
        # With pydantic behind them, which importing `serve` does not need.
        return getattr(config, name)
    if name == "TracingConfig":
        return schema.TracingConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _runner() -> Runner:
    """Return who performs what stands here: whoever was chosen in this process, else the local runner."""
    return runner.chosen() or local.runner()


def ingress(app: Any = None) -> Callable[..., Any]:
    """Let an ASGI application (FastAPI, or any other) answer a deployment's HTTP requests.

    Routes of a FastAPI application may be methods of the class. `app` may be a function that returns the application.
    """
    from remora.replica.ingress import ingress as decorator

    return decorator(app)


def run(
    target: Application,
    blocking: bool = False,
    name: str = DEFAULT_APP_NAME,
    route_prefix: str | None = "/",
    **options: Any,
) -> DeploymentHandle:
    """Run an application on this machine, and return a handle to its ingress once it serves.

    In a process that only imports the module (a build, a replica) nothing is run.
    """
    if isinstance(target, Deployment):
        raise OptionError(f"deployment {target.name!r} is not bound: serve.run({target.name}.bind(…))")
    if not isinstance(target, Application):
        raise OptionError(f"serve.run takes an application (Deployment.bind(…)), not {type(target).__name__}")
    if not name:
        raise RemoraError("an application needs a name that is not empty: serve.run(app, name='shop')")
    route_prefix = prefix.checked(route_prefix)
    return _runner().run(target, name=name, route_prefix=route_prefix, blocking=blocking, options=options)


@dataclass(slots=True)
class RunTarget:
    """One application for `run_many`: what `run` takes."""

    target: Application
    name: str = DEFAULT_APP_NAME
    route_prefix: str | None = "/"
    logging_config: Any = None
    external_scaler_enabled: bool = False


def run_many(targets: Sequence[RunTarget], blocking: bool = False, **options: Any) -> list[DeploymentHandle]:
    """Run several applications, and return a handle to the ingress of each once all serve.

    Raises ValueError when there are none, or when two have the same name or the same route.
    """
    if not targets:
        raise OptionError("serve.run_many needs one application at least")
    for what, values in (
        ("name", [target.name for target in targets]),
        ("route_prefix", [target.route_prefix for target in targets if target.route_prefix is not None]),
    ):
        twice = {value for value in values if values.count(value) > 1}
        if twice:
            raise OptionError(f"serve.run_many: {what} {min(twice)!r} is given to more than one application")
    for option in ("wait_for_ingress_deployment_creation", "wait_for_applications_running"):
        options.pop(option, None)
    handles = []
    for number, one in enumerate(targets, 1):
        more = {"logging_config": one.logging_config} if one.logging_config is not None else {}
        is_last = number == len(targets)
        handles.append(run(one.target, blocking and is_last, one.name, one.route_prefix, **more, **options))
    return handles


def start(**options: Any) -> None:
    """Start an instance on this machine unless there is one; `serve.run` does so by itself."""
    _runner().start(**options)


def delete(name: str, _blocking: bool = True) -> None:
    """Take an application away, and wait until it is gone."""
    _runner().delete(name)


def shutdown() -> None:
    """End the instance on this machine with all of its applications."""
    _runner().shutdown()


async def shutdown_async() -> None:
    """End the instance, as `shutdown`, without blocking the event loop."""
    await asyncio.to_thread(shutdown)


def status() -> Any:
    """Return what runs on this machine."""
    return _runner().status()


def get_app_handle(name: str = DEFAULT_APP_NAME) -> DeploymentHandle:
    """Return a handle to the ingress of an application."""
    return _runner().app_handle(name)


def get_deployment_handle(deployment_name: str, app_name: str | None = None) -> DeploymentHandle:
    """Return a handle to a deployment, of this replica's own application unless another is named.

    Raises RemoraError outside of replicas when no application is named, or when there is no such deployment.
    """
    if app_name is None:
        replica = replica_context.current()
        if replica is None:
            raise RemoraError(
                f"outside of a replica the application has to be named: "
                f"serve.get_deployment_handle({deployment_name!r}, app_name=…)"
            )
        app_name = replica.app_name
    return _runner().deployment_handle(deployment_name, app_name)


def get_multiplexed_model_id() -> str:
    """Return the model that the current request asks for; "" when it asks for none."""
    return request_context.current().multiplexed_model_id


def get_deployment_actor(actor_name: str) -> Any:
    """Return the handle of an actor that the replicas of this deployment share, by its name in `deployment_actors`.

    Raises RemoraError outside of replicas, and ValueError when the deployment has no such actor. One that was killed,
    or went with its node, is made anew: ask again where calls of an earlier handle fail.
    """
    from remora.replica import shared_actors

    return shared_actors.get(actor_name)


def get_deployment_actor_context() -> DeploymentActorContext:
    """Return which deployment actor this code runs in; raise RemoraError outside of any."""
    from remora.replica import shared_actor

    return shared_actor.current()
