"""TaskProcessorAdapter: what a queue must be able to do so that deployments consume from it. Users may write one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from remora.tasks.models import TaskResult

DEFAULT_CONCURRENCY: Final = 5
"""Tasks at once where nobody says: what `max_ongoing_requests` is by default."""


class TaskProcessorAdapter(ABC):
    """One queue, as seen by a process. Made with a TaskProcessorConfig, then `initialize` is called.

    The `…_async` methods may be left out; they raise NotImplementedError then.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: B027 - may be left out
        """Take the TaskProcessorConfig."""

    @abstractmethod
    def initialize(self, consumer_concurrency: int = DEFAULT_CONCURRENCY) -> None:
        """Get ready to enqueue, and to run as many tasks at once if this is a consumer."""

    @abstractmethod
    def register_task_handle(self, func: Callable[..., Any], name: str | None = None) -> None:
        """Let a function handle the tasks of a name; called before `start_consumer`."""

    @abstractmethod
    def enqueue_task_sync(self, task_name: str, args: Any = None, kwargs: Any = None, **options: Any) -> TaskResult:
        """Enqueue a task; the options are the adapter's own."""

    @abstractmethod
    def get_task_status_sync(self, task_id: str) -> TaskResult:
        """Return what is known of a task."""

    @abstractmethod
    def start_consumer(self, **kwargs: Any) -> None:
        """Begin to take tasks; returns at once."""

    @abstractmethod
    def stop_consumer(self, timeout: float = 10.0) -> None:
        """Take no more tasks, and return when those that run have ended, after `timeout` seconds at the latest."""

    @abstractmethod
    def cancel_task_sync(self, task_id: str) -> None:
        """Cancel a task that does not run yet."""

    @abstractmethod
    def get_metrics_sync(self) -> dict[str, Any]:
        """Return figures of the consumers."""

    @abstractmethod
    def health_check_sync(self) -> list[dict[str, Any]]:
        """Return what each consumer says when it is asked whether it is well."""

    async def enqueue_task_async(
        self, task_name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> TaskResult:
        """Enqueue a task."""
        raise self._left_out("enqueue_task_async")

    async def get_task_status_async(self, task_id: str) -> TaskResult:
        """Return what is known of a task."""
        raise self._left_out("get_task_status_async")

    async def cancel_task_async(self, task_id: str) -> None:
        """Cancel a task that does not run yet."""
        raise self._left_out("cancel_task_async")

    async def get_metrics_async(self) -> dict[str, Any]:
        """Return figures of the consumers."""
        raise self._left_out("get_metrics_async")

    async def health_check_async(self) -> list[dict[str, Any]]:
        """Return what each consumer says when it is asked whether it is well."""
        raise self._left_out("health_check_async")

    def consumer_problem(self) -> str:
        """Return why a consumer that was started takes no tasks any more; empty while it does. Remora's own."""
        return ""

    def tasks_run_on(self) -> bool:
        """Return whether `stop_consumer` left tasks running; the process then ends at once. Remora's own."""
        return False

    def _left_out(self, method: str) -> NotImplementedError:
        return NotImplementedError(
            f"{type(self).__name__} has no {method}: call {method.removesuffix('async')}sync in a thread "
            "(asyncio.to_thread) instead"
        )
