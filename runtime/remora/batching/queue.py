"""The queue of one batched function on one event loop: gathers calls, and starts a batch when there is one.

Calls of different instances, and for different multiplexed models, are never in one batch. While `max_concurrent`
batches of an instance run, calls go on gathering: the next batch is the fuller for it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from remora.batching.gathering import Gathering, Limits, Measure


@dataclass(slots=True, eq=False)
class Settings:
    """What the decorator was given; the setters change it while batches run."""

    limits: Limits
    max_concurrent: int = 1
    measure: Measure | None = None


@dataclass(slots=True, eq=False)
class Call:
    """One call of the batched function, waiting for its part of a batch's result."""

    instance: Any
    """`self` of a method."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    """As given; defaults are left to the function."""
    model_id: str
    outcome: asyncio.Future[Any]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    @property
    def group(self) -> tuple[int, str]:
        """Calls of one group may share a batch."""
        return id(self.instance), self.model_id


Run = Callable[[Sequence[Call]], Coroutine[Any, Any, None]]
"""Runs one batch and settles the outcome of each of its calls, whatever happens."""


class BatchQueue:
    """Belongs to the loop that it was made on."""

    def __init__(self, settings: Settings, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._run = run
        self._loop = loop
        self._groups: dict[tuple[int, str], Gathering[Call]] = {}
        self._running: Counter[int] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_awake = False
        """`_step` runs at the end of this turn of the loop."""

    def put(self, call: Call) -> None:
        """Let a call wait. Raises RuntimeError when it is larger than any batch may be."""
        settings = self._settings
        measure = settings.measure
        if measure is not None and (size := measure([_subject(call)])) > settings.limits.max_size:
            raise RuntimeError(
                f"the size of one item, {size}, is greater than max_batch_size, {settings.limits.max_size}: "
                "raise max_batch_size, or look at batch_size_fn"
            )
        group = self._groups.get(call.group)
        if group is None:
            group = self._groups[call.group] = Gathering(_of_calls(measure) if measure is not None else None)
        group.add(call, self._loop.time())
        self.wake()

    def discard(self, call: Call) -> None:
        """Forget a call that nobody waits for."""
        group = self._groups.get(call.group)
        if group is not None:
            group.remove(call)

    def wake(self) -> None:
        """Look again at the end of this turn of the loop, so that calls of one turn come together."""
        if not self._is_awake:
            self._is_awake = True
            self._loop.call_soon(self._step)

    def _step(self) -> None:
        """Start every batch that is complete and has a place; come back when time completes the next."""
        self._is_awake = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now, limits = self._loop.time(), self._settings.limits
        moments: list[float] = []
        for key, group in list(self._groups.items()):
            instance = key[0]
            while (due := group.due_at(limits)) is not None and self._running[instance] < self._settings.max_concurrent:
                if due > now:
                    moments.append(due)
                    break
                self._start(instance, group.take(limits))
            if not group:
                del self._groups[key]
        if moments:
            self._timer = self._loop.call_at(min(moments), self._step)

    def _start(self, instance: int, calls: list[Call]) -> None:
        self._running[instance] += 1
        # Within the context of the oldest call: the replica's, and its trace.
        task = self._loop.create_task(self._run(calls), context=calls[0].context)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, instance))

    def _ended(self, task: asyncio.Task[None], instance: int) -> None:
        self._tasks.discard(task)
        self._running[instance] -= 1
        if not self._running[instance]:
            del self._running[instance]
        self.wake()


def _subject(call: Call) -> Any:
    """Return what is measured of a call: its first argument."""
    return call.args[0] if call.args else next(iter(call.kwargs.values()), None)


def _of_calls(measure: Measure) -> Callable[[Sequence[Call]], int]:
    return lambda calls: measure([_subject(call) for call in calls])
