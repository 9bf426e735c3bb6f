"""Who performs `serve.run` and its kin in this process.

A process that imports user code to build or serve it must not start anything, whatever that code says at its top
level: it sets `Importing`. In any other, a script under `remora exec` say, nobody is chosen, and `serve` takes the
runner that starts the application here (`remora.local`).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from remora.errors import RemoraError

if TYPE_CHECKING:
    from remora.graph.application import Application
    from remora.handle import DeploymentHandle

log = logging.getLogger("remora.serve")


class Runner(Protocol):
    """What stands behind serve.start, run, delete, shutdown, status and get_app_handle."""

    def start(self, **options: Any) -> None:
        """Start an instance unless there is one; the options are Ray Serve's (`http_options`, …)."""
        ...

    def run(
        self, app: Application, *, name: str, route_prefix: str | None, blocking: bool, options: Mapping[str, Any]
    ) -> DeploymentHandle:
        """Deploy the application, wait until it serves, and return a handle to its ingress."""
        ...

    def delete(self, name: str) -> None:
        """Take the application away; no error when there is none."""
        ...

    def shutdown(self) -> None:
        """End the instance and all of its applications."""
        ...

    def status(self) -> Any:
        """Return what runs."""
        ...

    def app_handle(self, name: str) -> DeploymentHandle:
        """Return a handle to the application's ingress; raise RemoraError when there is no such application."""
        ...

    def deployment_handle(self, deployment: str, application: str) -> DeploymentHandle:
        """Return a handle to a deployment; raise RemoraError when there is no such deployment."""
        ...


class Importing:
    """Runner of a process that only imports the user's code: nothing is started."""

    def __init__(self) -> None:
        self.ran: set[str] = set()
        """Modules that called `serve.run` at their top level (`compat.script`)."""
        self.ended: dict[str, str] = {}
        """What such modules raised after it, in a line."""

    def start(self, **options: Any) -> None:
        """Do nothing."""

    def run(
        self, app: Application, *, name: str, route_prefix: str | None, blocking: bool, options: Mapping[str, Any]
    ) -> DeploymentHandle:
        """Return a handle that works once the application serves."""
        log.debug("serve.run(%r) is left out: the module is imported to be served, not run", app)
        self.ran.add(_module_under_way(sys._getframe()))
        return self.app_handle(name)

    def delete(self, name: str) -> None:
        """Do nothing."""

    def shutdown(self) -> None:
        """Do nothing."""

    def status(self) -> Any:
        """Refuse: there is no instance here to ask."""
        raise RemoraError("serve.status() works in the script that runs the application, not while it is imported")

    def app_handle(self, name: str) -> DeploymentHandle:
        """Return a handle to an application's ingress, found when it is first used."""
        from remora.handle import DeploymentHandle

        return DeploymentHandle("", name)

    def deployment_handle(self, deployment: str, application: str) -> DeploymentHandle:
        """Return a handle to a deployment, found when it is first used."""
        from remora.handle import DeploymentHandle

        return DeploymentHandle(deployment, application)


def _module_under_way(frame: FrameType | None) -> str:
    """Return the module whose top level this frame was called from; "" when there is none."""
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "")) if frame is not None else ""


_runner: Runner | None = None


def set_runner(runner: Runner | None) -> None:
    """Choose who performs serve.run from now on; None is the local runner."""
    global _runner
    _runner = runner


def importing() -> Importing | None:
    """Return the runner of a process that only imports the user's code; None in any other."""
    return _runner if isinstance(_runner, Importing) else None


def chosen() -> Runner | None:
    """Return who was chosen to perform serve.run in this process; None leaves it to the local runner."""
    return _runner
