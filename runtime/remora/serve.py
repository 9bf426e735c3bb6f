"""The `serve` namespace: what users write applications with. `from remora import serve`.

Light: importing it imports neither Ray nor a web framework. What runs applications is in `runner`, what describes them
in `graph`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remora import runner
from remora.batching import batch
from remora.errors import RemoraError
from remora.graph.application import Application
from remora.graph.deployment import Deployment, deployment
from remora.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator, context
from remora.multiplexing import multiplexed
from remora.replica.context import ReplicaContext, get_replica_context

__all__ = [
    "Application",
    "Deployment",
    "DeploymentHandle",
    "DeploymentResponse",
    "DeploymentResponseGenerator",
    "ReplicaContext",
    "batch",
    "delete",
    "deployment",
    "get_app_handle",
    "get_deployment_handle",
    "get_multiplexed_model_id",
    "get_replica_context",
    "ingress",
    "multiplexed",
    "run",
    "shutdown",
    "start",
    "status",
]

DEFAULT_APP_NAME = "default"

_NOT_YET = frozenset(
    {
        "ControllerOptions",
        "HTTPOptions",
        "RunTarget",
        "TracingConfig",
        "get_deployment_actor",
        "get_deployment_actor_context",
        "get_trace_context",
        "metrics",
        "run_many",
        "shutdown_async",
    }
)
"""Names of Ray Serve's namespace that have nothing behind them yet."""


def __getattr__(name: str) -> Any:
    """Say of a name that Ray Serve has and Remora has not that it is missing, not misspelt."""
    if name in _NOT_YET:
        raise AttributeError(f"serve.{name} is not supported by Remora yet")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
        raise RemoraError(f"deployment {target.name!r} is not bound: serve.run({target.name}.bind(…))")
    if not isinstance(target, Application):
        raise RemoraError(f"serve.run takes an application (Deployment.bind(…)), not {type(target).__name__}")
    return runner.current().run(target, name=name, route_prefix=route_prefix, blocking=blocking, options=options)


def start(**options: Any) -> None:
    """Start an instance on this machine unless there is one; `serve.run` does so by itself."""
    runner.current().start(**options)


def delete(name: str) -> None:
    """Take an application away."""
    runner.current().delete(name)


def shutdown() -> None:
    """End the instance on this machine with all of its applications."""
    runner.current().shutdown()


def status() -> Any:
    """Return what runs on this machine."""
    return runner.current().status()


def get_app_handle(name: str = DEFAULT_APP_NAME) -> DeploymentHandle:
    """Return a handle to the ingress of an application."""
    return runner.current().app_handle(name)


def get_deployment_handle(deployment_name: str, app_name: str | None = None) -> DeploymentHandle:
    """Return a handle to a deployment, of this replica's own application unless another is named."""
    if app_name is None:
        try:
            app_name = get_replica_context().app_name
        except RemoraError:
            app_name = DEFAULT_APP_NAME
    return DeploymentHandle(deployment_name, app_name)


def get_multiplexed_model_id() -> str:
    """Return the model that the current request asks for; "" when it asks for none."""
    return context.current().multiplexed_model_id
