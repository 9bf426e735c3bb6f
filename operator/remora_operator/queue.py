"""Work queue: the keys that want a reconcile, and when. Second step: handlers add, the reconciler works.

A key is never worked on twice at once, and never lost: one added while it is being worked on is worked on again.
Failing keys wait longer each time; the others do not notice.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from remora_operator.errors import OperatorError

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a key waits after its n-th failure in a row."""

    base_s: float = 0.5
    limit_s: float = 60.0

    def delay_s(self, failures: int) -> float:
        """Return seconds to wait: base, 2 × base, 4 × base … up to the limit."""
        return min(self.limit_s, self.base_s * 2.0 ** min(failures - 1, 30))


class WorkQueue(Generic[Key]):
    """Keys by the time when they are due; one worker a key, at most `concurrency` at once."""

    def __init__(self, *, concurrency: int, backoff: Backoff, clock: Callable[[], float]) -> None:
        self._concurrency = concurrency
        self._backoff = backoff
        self._clock = clock
        self._due: dict[Key, float] = {}
        self._order: list[tuple[float, int, Key]] = []
        self._sequence = 0
        self._failures: dict[Key, int] = {}
        self._working: dict[Key, asyncio.Task[float | None]] = {}
        self._woken = asyncio.Event()

    @property
    def depth(self) -> int:
        """Keys that are due now and wait for a worker."""
        now = self._clock()
        return sum(1 for key, due in self._due.items() if due <= now and key not in self._working)

    @property
    def working(self) -> int:
        """Keys that are being worked on."""
        return len(self._working)

    def add(self, key: Key, after_s: float = 0.0) -> None:
        """Want a key worked on, `after_s` seconds from now; of several times the earliest holds."""
        due = self._clock() + after_s
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._order, (due, self._sequence, key))
        self._woken.set()

    def forget(self, key: Key) -> None:
        """Want a key no more: its object is gone. Work that has begun is finished."""
        self._due.pop(key, None)
        self._failures.pop(key, None)

    async def run(self, work: Callable[[Key], Awaitable[float | None]]) -> None:
        """Work on due keys until cancelled; `work` returns seconds after which to look again, or None."""
        try:
            while True:
                self._woken.clear()
                for key in self._take():
                    self._working[key] = asyncio.create_task(self._work(work, key), name=f"reconcile {key}")
                await self._sleep()
        finally:
            tasks = list(self._working.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self) -> list[Key]:
        """Remove and return the keys that may begin now, the longest due first."""
        now = self._clock()
        taken: list[Key] = []
        busy: list[tuple[float, int, Key]] = []
        while self._order and len(self._working) + len(taken) < self._concurrency:
            due, _, key = self._order[0]
            if self._due.get(key) != due:
                heapq.heappop(self._order)
            elif due > now:
                break
            elif key in self._working:
                busy.append(heapq.heappop(self._order))
            else:
                heapq.heappop(self._order)
                del self._due[key]
                taken.append(key)
        for entry in busy:
            heapq.heappush(self._order, entry)
        return taken

    async def _sleep(self) -> None:
        """Sleep until something is added or done, or the next key is due."""
        full = len(self._working) >= self._concurrency
        waiting = [due for key, due in self._due.items() if key not in self._working]
        timeout = None if full or not waiting else max(0.0, min(waiting) - self._clock())
        try:
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _work(self, work: Callable[[Key], Awaitable[float | None]], key: Key) -> float | None:
        again: float | None = None
        try:
            again = await work(key)
            self._failures.pop(key, None)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # The one broad catch of the operator: a failure is its key's own, recorded and backed off.
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            again = self._backoff.delay_s(failures)
            about = {"key": str(key), "failures": failures, "retry_after_s": again, "error": str(error)}
            # Errors of our own say where they come from; any other is a fault in the operator and needs its traceback.
            log.warning("reconcile failed", extra=about, exc_info=not isinstance(error, OperatorError))
        finally:
            del self._working[key]
            if again is not None:
                self.add(key, again)
            self._woken.set()
        return again
