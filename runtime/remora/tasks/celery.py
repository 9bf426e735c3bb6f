"""Stands for `ray.serve.task_processor`: tasks by Celery, which is imported when an adapter is first used.

A task is acknowledged when its handler has ended, so that one that a dying replica was at is delivered again; when
depends on the broker. Handlers may therefore see a task twice.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from remora.errors import OptionError
from remora.packages import required
from remora.replica.context import get_replica_context
from remora.tasks.adapter import DEFAULT_CONCURRENCY, TaskProcessorAdapter
from remora.tasks.models import CeleryAdapterConfig, TaskProcessorConfig, TaskResult

if TYPE_CHECKING:
    from remora.tasks.celery_worker import Worker

__all__ = ["CeleryTaskProcessorAdapter"]

log = logging.getLogger("remora.serve")

OWN: Final = {
    "worker_pool": "threads",
    "worker_concurrency": DEFAULT_CONCURRENCY,
    "task_ignore_result": False,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
}
"""Settings that are not the user's: what is promised of tasks rests on them."""
RETRIES: Final = {
    "autoretry_for": (Exception,),
    "retry_backoff": True,
    "retry_backoff_max": 60,
    "retry_jitter": False,
}
"""After 1, 2, 4, … seconds, and 60 at most."""


class CeleryTaskProcessorAdapter(TaskProcessorAdapter):
    """Tasks in a queue of Celery's; blocks in all that it does."""

    def __init__(self, config: TaskProcessorConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(config.adapter_config, CeleryAdapterConfig):
            raise OptionError("TaskProcessorConfig.adapter_config must be an instance of CeleryAdapterConfig")
        taken = sorted(OWN.keys() & (config.adapter_config.app_custom_config or {}).keys())
        if taken:
            raise OptionError(
                f"app_custom_config: {', '.join(taken)} cannot be changed: leave them out "
                "(max_ongoing_requests is how many tasks run at once)"
            )
        self._config = config
        self._celery: CeleryAdapterConfig = config.adapter_config
        self._worker: Worker | None = None
        self._app: Any = None
        self._runs_on = False

    def initialize(self, consumer_concurrency: int = DEFAULT_CONCURRENCY) -> None:
        """Make the Celery application; raise MissingPackage where Celery is not installed. Nothing is connected yet."""
        celery = required("celery", "task consumers by Celery", "celery[redis]")
        signals = required("celery.signals", "task consumers by Celery", "celery[redis]")
        config = self._config
        self._app = celery.Celery(config.queue_name, broker=self._celery.broker_url, backend=self._celery.backend_url)
        settings: dict[str, Any] = {**OWN, "worker_concurrency": consumer_concurrency}
        settings |= self._celery.app_custom_config or {}
        settings |= {
            "task_queues": _queues(config),
            "task_routes": {"*": {"queue": config.queue_name}},
        }
        settings["broker_transport_options"] = _transport(self._celery)
        self._app.conf.update(settings)
        if config.failed_task_queue_name:
            signals.task_failure.connect(self._on_failure)
        if config.unprocessable_task_queue_name:
            signals.task_unknown.connect(self._on_unknown)

    def register_task_handle(self, func: Callable[..., Any], name: str | None = None) -> None:
        """Let a plain function handle tasks; it is run again, with growing pauses, when it raises."""
        if inspect.iscoroutinefunction(func):
            raise NotImplementedError(
                f"task handler {name or func.__name__!r} is async, and Celery runs plain functions only: "
                "write it as a plain method (asyncio.run(…) runs a coroutine in it)"
            )
        options: dict[str, Any] = {**RETRIES, "retry_kwargs": {"max_retries": self._config.max_retries}}
        options |= self._celery.task_custom_config or {}

        # Celery would count the `self` of a bound method among the arguments that a task needs.
        @functools.wraps(func)
        def handle(*args: Any, **kwargs: Any) -> Any:
            return func(*args, **kwargs)

        self._app.task(**({"name": name} if name else {}), **options)(handle)

    def enqueue_task_sync(self, task_name: str, args: Any = None, kwargs: Any = None, **options: Any) -> TaskResult:
        """Enqueue a task; the options are those of Celery's `send_task`: countdown, eta, expires, priority, …"""
        sent = self._app.send_task(task_name, args=args, kwargs=kwargs, queue=self._config.queue_name, **options)
        now = datetime.now(UTC).timestamp()  # noqa: TID251 - a record of when, which no decision rests on
        try:
            known = TaskResult(id=sent.id, status=sent.status, created_at=now, result=sent.result)
            sent.backend.remove_pending_result(sent)
        finally:
            _let_go(sent)
        return known

    def get_task_status_sync(self, task_id: str) -> TaskResult:
        """Return what the result backend has of a task; PENDING where it has nothing."""
        found = self._app.AsyncResult(task_id)
        try:
            return TaskResult(id=found.id, status=found.status, result=found.result)
        finally:
            _let_go(found)

    def start_consumer(self, **kwargs: Any) -> None:
        """Begin to take tasks in a thread; harmless when it runs already. Raises MisuseError outside of replicas."""
        if self._worker is not None and self._worker.is_running:
            return
        from remora.tasks.celery_worker import Worker

        name = f"{self._app.main}_{get_replica_context().replica_tag}"
        self._worker = Worker(self._app, name, self._config.queue_name)
        self._worker.start()
        log.info("tasks are taken from queue %r, by Celery worker %s", self._config.queue_name, self._worker.hostname)

    def stop_consumer(self, timeout: float = 10.0) -> None:
        """Take no more tasks; those that run may end within `timeout` seconds, the others are given back."""
        worker, self._worker = self._worker, None
        if worker is not None and not worker.stop(timeout):
            self._runs_on = True
            log.warning(
                "tasks of queue %r still run after %g s, and are given back to be run again",
                self._config.queue_name,
                timeout,
            )

    def consumer_problem(self) -> str:
        """Return why a consumer that was started has ended; empty while it runs."""
        return self._worker.problem if self._worker is not None else ""

    def tasks_run_on(self) -> bool:
        """Return whether there are tasks that did not end in time."""
        return self._runs_on

    def cancel_task_sync(self, task_id: str) -> None:
        """Cancel a task that does not run yet; brokers that can broadcast only: Redis and RabbitMQ."""
        self._app.control.revoke(task_id)

    def get_metrics_sync(self) -> dict[str, Any]:
        """Return the `stats` of each worker by its name; None when none answers within a second."""
        found: dict[str, Any] | None = self._app.control.inspect().stats()
        return found  # type: ignore[return-value]  # None where no worker answers, as in Ray Serve

    def health_check_sync(self) -> list[dict[str, Any]]:
        """Return what each worker that answers within a second says: `[{"celery@…": {"ok": "pong"}}]`."""
        found: list[dict[str, Any]] = self._app.control.ping()
        return found

    def _on_failure(
        self, sender: Any = None, task_id: Any = None, args: Any = None, kwargs: Any = None, einfo: Any = None, **_: Any
    ) -> None:
        """Report a task that failed for good."""
        if sender.app is not self._app or not self._config.failed_task_queue_name:
            return
        # Celery wraps it into one whose text is the traceback, which is the last of the words anyway.
        reason = str(getattr(einfo.exception, "exc", einfo.exception))
        self._report(
            self._config.failed_task_queue_name, sender.name, [task_id, reason, str(args), str(kwargs), str(einfo)]
        )
        log.error("task %s (%s) failed for good: %s", sender.name, task_id, reason)

    def _on_unknown(
        self, sender: Any = None, name: Any = None, id: Any = None, message: Any = None, exc: Any = None, **more: Any
    ) -> None:
        """Report a task that no handler is known for."""
        if sender.app is not self._app or not self._config.unprocessable_task_queue_name:
            return
        self._report(self._config.unprocessable_task_queue_name, name, [name, id, str(message), str(exc), str(more)])
        log.error("task %s (%s) has no handler here", name, id)

    def _report(self, queue: str, name: str, words: list[Any]) -> None:
        self._app.send_task(name, args=words, queue=queue)


def _let_go(result: Any) -> None:
    """Let nothing happen when the object is collected: Celery would speak to Redis then, in whichever thread it is."""
    result.backend = None


def _transport(config: CeleryAdapterConfig) -> dict[str, Any]:
    """Return the options of the way to the broker: what dead replicas were at is looked for every 10 s, not 100."""
    often = {"unacked_restore_throttle": 1} if config.broker_url.startswith("redis") else {}
    return {**often, **(config.broker_transport_options or {})}


def _queues(config: TaskProcessorConfig) -> dict[str, dict[str, str]]:
    names = (config.queue_name, config.failed_task_queue_name, config.unprocessable_task_queue_name)
    return {name: {"exchange": name, "exchange_type": "direct", "routing_key": name} for name in names if name}
