"""DeploymentBroadcastResponse: one call of every replica, and what each of them returned."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Coroutine, Sequence
from typing import Any

from remora.errors import MisuseError, OptionError
from remora.handle.runtime import Runtime

Tasks = Sequence[asyncio.Task[Any]]


class DeploymentBroadcastResponse:
    """Results to come, one of each replica that there was; in no particular order."""

    def __init__(self, begin: Coroutine[Any, Any, Tasks], runtime: Runtime) -> None:
        self._runtime = runtime
        self._beginning: asyncio.Future[Tasks] | concurrent.futures.Future[Tasks]
        if runtime.is_here():
            self._beginning = runtime.loop.create_task(begin)
        else:
            self._beginning = asyncio.run_coroutine_threadsafe(begin, runtime.loop)

    def results(self, *, timeout_s: float | None = None, return_exceptions: bool = False) -> list[Any]:
        """Wait in this thread for all results; raises TimeoutError after the time.

        The first exception of a replica is raised, unless `return_exceptions` puts them among the results.
        """
        if self._runtime.is_here():
            raise MisuseError("response.results() would block the event loop: use `await response.results_async()`")
        work = asyncio.run_coroutine_threadsafe(self._collect(return_exceptions), self._runtime.loop)
        try:
            return work.result(_checked(timeout_s))
        except concurrent.futures.TimeoutError:
            work.cancel()
            raise TimeoutError(f"not all replicas answered within {timeout_s} s") from None

    async def results_async(self, *, timeout_s: float | None = None, return_exceptions: bool = False) -> list[Any]:
        """Return all results, as `results` does."""
        try:
            async with asyncio.timeout(_checked(timeout_s)):
                return await self._runtime.run(self._collect(return_exceptions))
        except TimeoutError:
            raise TimeoutError(f"not all replicas answered within {timeout_s} s") from None

    async def _collect(self, return_exceptions: bool) -> list[Any]:
        beginning = self._beginning
        tasks = await (
            asyncio.shield(asyncio.wrap_future(beginning))
            if isinstance(beginning, concurrent.futures.Future)
            else asyncio.shield(beginning)
        )
        # Whoever stops waiting stops no replica: others may wait for the same results.
        return await asyncio.gather(*map(asyncio.shield, tasks), return_exceptions=return_exceptions)


def _checked(timeout_s: float | None) -> float | None:
    if timeout_s is not None and timeout_s < 0:
        raise OptionError(f"timeout_s is {timeout_s}, and must be None or at least 0")
    return timeout_s
