"""Consumption: a replica's own tasks, from its start to the end of those that run when it leaves."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any

from remora.tasks import CONFIG, HANDLES, UNTOLD_S
from remora.tasks.adapter import TaskProcessorAdapter
from remora.tasks.consumer import adapter_of

log = logging.getLogger("remora.serve")


class Consumption:
    """The tasks that one user's object handles."""

    def __init__(self, adapter: TaskProcessorAdapter) -> None:
        self._adapter = adapter
        self._is_stopped = False

    @classmethod
    def start(cls, instance: Any, concurrency: int) -> Consumption:
        """Join the object's handlers to its queue and begin; raises what the adapter raises."""
        adapter = adapter_of(getattr(type(instance), CONFIG), concurrency)
        for name, handler in handlers(instance):
            adapter.register_task_handle(handler, name)
        adapter.start_consumer()
        return cls(adapter)

    def stop(self, timeout_s: float = UNTOLD_S) -> None:
        """Take no more tasks, and wait for those that run; blocks. What goes wrong is logged, and the rest goes on."""
        if self._is_stopped:
            return
        self._is_stopped = True
        try:
            if _takes_timeout(self._adapter.stop_consumer):
                self._adapter.stop_consumer(timeout=timeout_s)
            else:
                self._adapter.stop_consumer()
        except Exception:
            log.exception("%s: stop_consumer failed", type(self._adapter).__name__)

    def runs_on(self) -> bool:
        """Return whether tasks run on after `stop`, whose time was up."""
        return self._adapter.tasks_run_on()

    def problem(self) -> str:
        """Return why no tasks are taken any more; empty while they are."""
        return "" if self._is_stopped else self._adapter.consumer_problem()


def handlers(instance: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names of the tasks that an object handles, and its methods."""
    for attribute, function in inspect.getmembers(type(instance), inspect.isfunction):
        name = getattr(function, HANDLES, None)
        if name is not None:
            yield name, getattr(instance, attribute)


def _takes_timeout(method: Any) -> bool:
    """Return whether it takes a timeout: adapters of users' may leave it out."""
    parameters = inspect.signature(method).parameters.values()
    return any(it.name == "timeout" or it.kind is inspect.Parameter.VAR_KEYWORD for it in parameters)
