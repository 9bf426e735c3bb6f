"""What says where tasks are queued, and what became of one: Ray Serve's names, from `ray.serve.schema`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel

CELERY: Final = "ray.serve.task_processor.CeleryTaskProcessorAdapter"


class CeleryAdapterConfig(BaseModel):
    """How Celery reaches its broker and its result backend, and settings of its own."""

    broker_url: str
    """`redis://…`, `amqp://…`, or whatever else Celery (https://docs.celeryq.dev) takes."""
    backend_url: str
    """Where results are kept: `redis://…`, `rpc://`, `db+sqlite:///…`, `file:///…`."""
    broker_transport_options: dict[str, Any] | None = None
    app_custom_config: dict[str, Any] | None = None
    """Settings of the Celery application, over Remora's."""
    task_custom_config: dict[str, Any] | None = None
    """Options of every task, over Remora's."""


class TaskProcessorConfig(BaseModel):
    """Which queue a consumer takes tasks from, and what becomes of tasks that fail."""

    queue_name: str
    adapter: str | Callable[..., Any] = CELERY
    """A TaskProcessorAdapter, or its import path."""
    adapter_config: Any
    """For the adapter: a CeleryAdapterConfig for Celery's."""
    max_retries: int | None = 3
    """How often a task is run again after its handler raised; None is without end."""
    failed_task_queue_name: str | None = None
    """Queue that gets a report of each task that failed for good; None is no report."""
    unprocessable_task_queue_name: str | None = None
    """Queue that gets a report of each task that no handler is known for; None is no report."""


class TaskResult(BaseModel):
    """What is known of one task."""

    id: str
    status: str
    """Celery's: PENDING (also of tasks that nobody knows), STARTED, RETRY, SUCCESS, FAILURE or REVOKED."""
    created_at: float | None = None
    """Seconds of Unix time; of a task that was just enqueued."""
    result: Any
    """What the handler returned, or the exception that it raised last."""
