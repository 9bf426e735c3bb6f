"""Handles in a process of the Ray cluster that is no replica: a plain Ray task or actor, or another driver.

A handle travels as names. Where it is used it is found out, from any replica that Ray knows by name, where the
controller is and in which file the data key lies; the key itself never travels. Everything after that is an ordinary
router's, on a loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from remora.errors import DeploymentUnavailable, MisuseError
from remora.replica.actor_names import NAMESPACE
from remora.replica.config import Way
from remora.router.router import Router
from remora.routing.choosers import chooser
from remora.tracing.process import traced_caller, tracer_of_program
from remora.tracing.settings import TracingSettings
from remora.types import Caller, CallMetadata, Payload, Reservation

ASK_S: Final = 5.0
MOST_ASKED: Final = 5
"""Replicas that are asked before it is given up: those of a list that is a moment old may have ended."""
CLOSE_S: Final = 2.0


class Visitor:
    """The `types.Caller` of such a process: one router for each controller that its handles lead to."""

    def __init__(self, find: Callable[[str], Way | None]) -> None:
        self._find = find
        self._ways: dict[str, Way] = {}
        self._routers: dict[Way, Router] = {}
        self._finding = asyncio.Lock()

    async def call(self, application: str, deployment: str, metadata: CallMetadata, payload: Payload) -> Payload:
        """Run one call on some replica."""
        return await (await self._router(application, deployment)).call(application, deployment, metadata, payload)

    async def stream(
        self, application: str, deployment: str, metadata: CallMetadata, payload: Payload
    ) -> AsyncGenerator[Payload]:
        """Run one streaming call; closing the iterator cancels it."""
        router = await self._router(application, deployment)
        async with aclosing(router.stream(application, deployment, metadata, payload)) as items:
            async for item in items:
                yield item

    async def replicas(self, application: str, deployment: str) -> Sequence[str]:
        """Return the names of the replicas that take requests."""
        return await (await self._router(application, deployment)).replicas(application, deployment)

    async def reserve(
        self, application: str, deployment: str, metadata: CallMetadata, replica: str = ""
    ) -> Reservation:
        """Take a place on a replica."""
        router = await self._router(application, deployment)
        return await router.reserve(application, deployment, metadata, replica)

    def knows(self, application: str, deployment: str) -> bool:
        """Return whether a replica of the deployment takes requests."""
        way = self._ways.get(application)
        return way is not None and self._routers[way].knows(application, deployment)

    async def close(self) -> None:
        """Close all connections."""
        routers, self._routers, self._ways = list(self._routers.values()), {}, {}
        for router in routers:
            await router.close()

    async def _router(self, application: str, deployment: str) -> Router:
        """Return the router of the application, found anew while it knows no replica: there may be a new controller."""
        if not self.knows(application, deployment):
            async with self._finding:
                if not self.knows(application, deployment):
                    await self._look(application)
        return self._routers[self._ways[application]]

    async def _look(self, application: str) -> None:
        found, before = await asyncio.to_thread(self._find, application), self._ways.get(application)
        if found is None or found == before:
            if before is None:
                raise DeploymentUnavailable(
                    f"application {application!r} cannot be called from this process: no replica runs in its Ray "
                    "cluster that would say where the application is"
                )
            return
        key = await asyncio.to_thread(_read, found)
        self._ways[application] = found
        if found not in self._routers:
            self._routers[found] = router = Router(key, controllers=[found.controller_url], choosers=chooser)
            await router.start()
        if before is not None and before not in self._ways.values():
            await self._routers.pop(before).close()


def _read(way: Way) -> str:
    try:
        return Path(way.key_file).read_text().strip()
    except OSError as error:
        raise MisuseError(
            f"handles cannot call from this process: the data key {way.key_file or '(not in a file)'} cannot be read "
            f"here ({error.strerror}); run the task where replicas run"
        ) from error


def find(application: str) -> Way | None:
    """Ask a replica where its controller is, one of the application's own if there is one. Blocks."""
    import ray
    from ray.exceptions import GetTimeoutError, RayError

    known = [entry["name"] for entry in ray.util.list_named_actors(all_namespaces=True) if _is_replica(entry)]
    known.sort(key=lambda name: name.partition("#")[0] != application)
    for name in known[:MOST_ASKED]:
        try:
            found = ray.get(ray.get_actor(name, namespace=NAMESPACE).way.remote(), timeout=ASK_S)
        except (ValueError, RayError, GetTimeoutError):
            continue  # It has ended since.
        if isinstance(found, Way):
            return found
    return None


def _is_replica(entry: dict[str, Any]) -> bool:
    return entry["namespace"] == NAMESPACE and "#" in entry["name"]


_lock = threading.Lock()
_caller: tuple[Caller, asyncio.AbstractEventLoop] | None = None


def caller() -> tuple[Caller, asyncio.AbstractEventLoop] | None:
    """Return what handles of this process call through, and its loop, made when first asked for; None without Ray.

    Raises TracingFailed where the process's environment says that it is to make spans, and it cannot.
    """
    global _caller
    ray = sys.modules.get("ray")
    if ray is None or not getattr(ray, "is_initialized", bool)():
        return None
    with _lock:
        if _caller is None:
            tracer = tracer_of_program(TracingSettings.read())
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="remora-visitor", daemon=True).start()
            visitor = Visitor(find)
            _caller = traced_caller(visitor, tracer), loop
            atexit.register(_end, visitor, loop)
        return _caller


def _end(visitor: Visitor, loop: asyncio.AbstractEventLoop) -> None:
    """Close connections in order, for as long as that is quick: replicas see them end one way or the other."""
    ended = asyncio.run_coroutine_threadsafe(asyncio.wait_for(visitor.close(), CLOSE_S), loop)
    ended.exception(CLOSE_S + 1)
