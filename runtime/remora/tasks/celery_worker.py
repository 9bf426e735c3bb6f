"""A Celery worker in a thread of a replica: what runs the handlers. Imports Celery."""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery.app import trace
from celery.concurrency.thread import TaskPool
from celery.exceptions import WorkerShutdown
from celery.worker import WorkController
from kombu.asynchronous import set_event_loop

log = logging.getLogger("remora.serve")


class Worker:
    """One worker. Its thread dies with the process: a task that runs then is delivered again."""

    def __init__(self, app: Any, name: str, queue: str) -> None:
        # Celery keeps the loop of a process's last worker: local testing has several in one.
        set_event_loop(None)
        self._worker = _Controller(app=app, hostname=name, queues=[queue], pool_cls=_Threads, loglevel=logging.INFO)
        self._thread = threading.Thread(target=self._run, name=f"celery-{name}", daemon=True)
        self.problem = ""
        """Why it ended, if nobody stopped it."""

    @property
    def hostname(self) -> str:
        """Its name among all workers."""
        return str(self._worker.hostname)

    @property
    def is_running(self) -> bool:
        """Whether it takes tasks, or runs some."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to connect and to take tasks."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Take no more tasks and wait for those that run; return whether all have ended.

        Tasks that were fetched and not begun go back into the queue, and after `timeout_s` those that run, too.
        """
        self._worker.consumer.call_soon(_leave)
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            return True
        # Closing the connection is what gives them back.
        self._worker.consumer.shutdown()
        return False

    def _run(self) -> None:
        self._worker.start()
        if self._worker.exitcode:
            self.problem = "its Celery worker ended; the replica's log has the reason"


class _Controller(WorkController):  # type: ignore[misc]  # Celery is untyped
    """A worker that leaves the process's signals, logging and standard output alone, unlike `celery worker`."""

    def on_before_init(self, **_: Any) -> None:
        # As every worker of Celery's does: without it the pool's threads would not know the application.
        trace.setup_worker_optimizations(self.app, self.hostname)


class _Threads(TaskPool):  # type: ignore[misc]  # Celery is untyped
    """Threads that begin nothing more once they are to stop."""

    def on_stop(self) -> None:
        """Wait for the tasks that run, and forget those that wait: they are not acknowledged."""
        self.executor.shutdown(cancel_futures=True)


def _leave() -> None:
    raise WorkerShutdown(0)
