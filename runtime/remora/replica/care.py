"""Care: what is asked of the user's object beside requests: to be configured, to be well, to record its figures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from remora.replica import context as replica_context
from remora.replica import failure
from remora.replica.context import ReplicaContext
from remora.replica.invoke import in_thread


class Care:
    """Of one object. Plain methods run in a thread of their own: they must not wait behind requests."""

    def __init__(self, deployment: str, instance: Any, replica: ReplicaContext) -> None:
        self._deployment = deployment
        self._instance = instance
        self._replica = replica
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="remora-care")

    async def configure(self, user_config: Any, *, on_loop: bool = False) -> None:
        """Give the object a user_config; raise DeploymentFailure when it has no `reconfigure`, or that raises.

        ``on_loop`` runs it where the constructor ran, before there are requests.
        """
        reconfigure = getattr(self._instance, "reconfigure", None)
        if not callable(reconfigure):
            raise failure.DeploymentFailure(
                f"deployment {self._deployment!r}: a user_config is given and its class has no method reconfigure"
            )
        replica_context.enter(self._replica)
        with failure.of(self._deployment, "reconfigure failed"):
            if on_loop:
                result = reconfigure(user_config)
                if inspect.isawaitable(result):
                    await result
            else:
                await self._run(reconfigure, user_config)

    async def check_health(self) -> None:
        """Ask the object for its health, if it has `check_health`; raise DeploymentFailure when that raises."""
        check = getattr(self._instance, "check_health", None)
        if callable(check):
            replica_context.enter(self._replica)
            with failure.of(self._deployment, "check_health failed"):
                await self._run(check)

    def records(self, what: str) -> bool:
        """Return whether the object has such a method: `record_routing_stats`, `record_replica_metadata`."""
        return callable(getattr(self._instance, what, None))

    async def recorded(self, what: str) -> Any:
        """Return what the object records for routers."""
        replica_context.enter(self._replica)
        return await self._run(getattr(self._instance, what))

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(*args)
        result = await in_thread(self._thread, function, *args)
        return await result if inspect.isawaitable(result) else result
