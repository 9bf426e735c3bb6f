"""Stands for `ray.serve.taskiq_task_processor`: as in Ray Serve 2.60 a Taskiq adapter makes its broker, and no more.

What tasks are to do there is not settled: enqueueing, consuming and the rest raise NotImplementedError in both.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from remora.errors import MissingPackage, OptionError
from remora.packages import required
from remora.tasks.adapter import DEFAULT_CONCURRENCY, TaskProcessorAdapter
from remora.tasks.models import TaskProcessorConfig, TaskResult

__all__ = ["TaskiqAdapterConfig", "TaskiqTaskProcessorAdapter"]


@dataclass(frozen=True, slots=True)
class _Broker:
    """A broker of Taskiq's: its class, and what it has to be given."""

    module: str
    name: str
    needs: tuple[str, ...] = ("url",)
    queue: str = "queue_name"
    """Its argument that says which queue."""

    @property
    def package(self) -> str:
        return self.module.replace("_", "-")


_SENTINEL: Final = ("sentinels", "master_name")
BROKERS: Final[Mapping[str, _Broker]] = {
    "redis_stream": _Broker("taskiq_redis", "RedisStreamBroker"),
    "redis_list": _Broker("taskiq_redis", "ListQueueBroker"),
    "redis_pubsub": _Broker("taskiq_redis", "PubSubBroker"),
    "redis_stream_cluster": _Broker("taskiq_redis", "RedisStreamClusterBroker"),
    "redis_list_cluster": _Broker("taskiq_redis", "ListQueueClusterBroker"),
    "redis_stream_sentinel": _Broker("taskiq_redis", "RedisStreamSentinelBroker", _SENTINEL),
    "redis_list_sentinel": _Broker("taskiq_redis", "ListQueueSentinelBroker", _SENTINEL),
    "redis_pubsub_sentinel": _Broker("taskiq_redis", "PubSubSentinelBroker", _SENTINEL),
    "rabbitmq": _Broker("taskiq_aio_pika", "AioPikaBroker", ()),
    "nats": _Broker("taskiq_nats", "PullBasedJetStreamBroker", ("servers",), "subject"),
    "kafka": _Broker("taskiq_aio_kafka", "AioKafkaBroker", ("bootstrap_servers",), "kafka_topic"),
}


class TaskiqAdapterConfig(BaseModel):
    """Which broker of Taskiq's, what it is constructed with, and where results are."""

    broker_type: str
    """One of BROKERS."""
    broker_kwargs: dict[str, Any] | None = None
    result_backend_url: str | None = None
    """`redis://…`: Redis alone."""


class TaskiqTaskProcessorAdapter(TaskProcessorAdapter):
    """A broker of Taskiq's, and nothing that is done with it yet."""

    def __init__(self, config: TaskProcessorConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(config.adapter_config, TaskiqAdapterConfig):
            raise OptionError("TaskProcessorConfig.adapter_config must be an instance of TaskiqAdapterConfig")
        self._taskiq = config.adapter_config
        self._queue = config.queue_name
        self._broker: Any = None

    def initialize(self, consumer_concurrency: int = DEFAULT_CONCURRENCY) -> None:
        """Make the broker; raise OptionError for an unknown one or one without what it needs, MissingPackage."""
        self._broker = _made(self._taskiq, self._queue)
        if self._taskiq.result_backend_url:
            redis = required("taskiq_redis", "results of Taskiq", "taskiq-redis")
            results = redis.RedisAsyncResultBackend(redis_url=self._taskiq.result_backend_url)
            self._broker = self._broker.with_result_backend(results)

    def register_task_handle(self, func: Callable[..., Any], name: str | None = None) -> None:
        """Not there yet, as in Ray Serve."""
        raise _nothing()

    def enqueue_task_sync(self, task_name: str, args: Any = None, kwargs: Any = None, **options: Any) -> TaskResult:
        """Not there yet, as in Ray Serve."""
        raise _nothing()

    def get_task_status_sync(self, task_id: str) -> TaskResult:
        """Not there yet, as in Ray Serve."""
        raise _nothing()

    def start_consumer(self, **kwargs: Any) -> None:
        """Not there yet, as in Ray Serve."""
        raise _nothing()

    def stop_consumer(self, timeout: float = 10.0) -> None:
        """Not there yet, as in Ray Serve."""
        raise _nothing()

    def cancel_task_sync(self, task_id: str) -> None:
        """Not there yet, as in Ray Serve."""
        raise _nothing()

    def get_metrics_sync(self) -> dict[str, Any]:
        """Not there yet, as in Ray Serve."""
        raise _nothing()

    def health_check_sync(self) -> list[dict[str, Any]]:
        """Not there yet, as in Ray Serve."""
        raise _nothing()


def _made(config: TaskiqAdapterConfig, queue: str) -> Any:
    broker = BROKERS.get(config.broker_type)
    if broker is None:
        raise OptionError(f"Unsupported broker_type: {config.broker_type!r}; it must be one of {', '.join(BROKERS)}")
    given = config.broker_kwargs or {}
    missing = [name for name in broker.needs if name not in given]
    if missing:
        raise OptionError(f"broker_type {config.broker_type!r}: broker_kwargs must have {', '.join(missing)}")
    try:
        kind = getattr(importlib.import_module(broker.module), broker.name)
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"broker_type {config.broker_type!r} needs a Python package: pip install {broker.package}"
        ) from error
    return kind(**{**given, broker.queue: queue})


def _nothing() -> NotImplementedError:
    return NotImplementedError(
        "tasks by Taskiq are not there yet, as in Ray Serve 2.60: use the default adapter, which is Celery's"
    )
