"""Tasks without a queue: what is marked, what is counted, what is said of what is missing."""

from __future__ import annotations

import asyncio
import importlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from remora.errors import MissingPackage, MisuseError, OptionError
from remora.tasks import CONFIG
from remora.tasks.adapter import TaskProcessorAdapter
from remora.tasks.celery import CeleryTaskProcessorAdapter
from remora.tasks.consumer import imported, instantiate_adapter_from_config, task_consumer, task_handler
from remora.tasks.handlers import Consumption, handlers
from remora.tasks.models import CeleryAdapterConfig, TaskProcessorConfig, TaskResult
from remora.tasks.policy import AsyncInferenceAutoscalingPolicy, wanted
from remora.tasks.queue_length import NoLength, Queue, UnknownBroker, management


class Adapter(TaskProcessorAdapter):
    """Remembers what it was asked; its `stop_consumer` takes no timeout, as some users write it."""

    def __init__(self, config: TaskProcessorConfig) -> None:
        self.config, self.handlers, self.events = config, {}, []  # type: ignore[var-annotated]

    def initialize(self, consumer_concurrency: int = 5) -> None:
        self.events.append(f"initialize {consumer_concurrency}")

    def register_task_handle(self, func: Any, name: str | None = None) -> None:
        self.handlers[name] = func

    def enqueue_task_sync(self, task_name: str, args: Any = None, kwargs: Any = None, **options: Any) -> TaskResult:
        return TaskResult(id="1", status="SUCCESS", result=self.handlers[task_name](*(args or ())))

    def get_task_status_sync(self, task_id: str) -> TaskResult:
        return TaskResult(id=task_id, status="PENDING", result=None)

    def start_consumer(self, **kwargs: Any) -> None:
        self.events.append("start")

    def stop_consumer(self) -> None:  # type: ignore[override]
        self.events.append("stop")
        raise OSError("the broker is away")

    def cancel_task_sync(self, task_id: str) -> None:
        return None

    def get_metrics_sync(self) -> dict[str, Any]:
        return {}

    def health_check_sync(self) -> list[dict[str, Any]]:
        return []


MINE = TaskProcessorConfig(queue_name="mine", adapter=Adapter, adapter_config=None)


class Works:
    def __init__(self) -> None:
        self.word = "x"

    @task_handler
    def plain(self) -> str:
        return self.word

    @task_handler(name="other")
    def named(self, more: str) -> str:
        return self.word + more

    def none(self) -> None:
        """No task."""


def test_a_class_may_consume_from_several_queues() -> None:
    one = task_consumer(task_processor_config=MINE)(Works)
    two = task_consumer(task_processor_config=MINE.model_copy(update={"queue_name": "two"}))(Works)
    assert [getattr(each, CONFIG).queue_name for each in (one, two)] == ["mine", "two"]
    assert not hasattr(Works, CONFIG)
    assert (one.__qualname__, one.__module__) == (Works.__qualname__, Works.__module__)


def test_handlers_are_bound_methods_by_the_names_of_their_tasks() -> None:
    found = dict(handlers(task_consumer(task_processor_config=MINE)(Works)()))
    assert found.keys() == {"plain", "other"}
    assert found["other"]("y") == "xy"


def test_a_consumption_starts_once_and_stops_once_whatever_its_adapter_raises(caplog: Any) -> None:
    consumption = Consumption.start(task_consumer(task_processor_config=MINE)(Works)(), 7)
    adapter: Any = consumption._adapter
    consumption.stop(3)
    consumption.stop(3)
    assert adapter.events == ["initialize 7", "start", "stop"]
    assert "the broker is away" in caplog.text
    assert consumption.problem() == ""


def test_an_adapters_problem_is_the_consumptions() -> None:
    consumption = Consumption.start(task_consumer(task_processor_config=MINE)(Works)(), 1)
    consumption._adapter.consumer_problem = lambda: "gone"  # type: ignore[method-assign]
    assert consumption.problem() == "gone"


def test_ray_serves_path_is_remoras_adapter_whether_the_alias_is_there_or_not() -> None:
    assert imported("ray.serve.task_processor.CeleryTaskProcessorAdapter") is CeleryTaskProcessorAdapter
    assert imported("remora.tasks.celery:CeleryTaskProcessorAdapter") is CeleryTaskProcessorAdapter
    with pytest.raises(OptionError, match="import path"):
        imported("Adapter")


def test_a_missing_celery_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(name: str, *args: Any) -> Any:
        if name.partition(".")[0] == "celery":
            raise ModuleNotFoundError("No module named 'celery'", name="celery")
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", without)
    celery = CeleryAdapterConfig(broker_url="redis://x", backend_url="redis://x")
    config = TaskProcessorConfig(queue_name="q", adapter_config=celery)
    with pytest.raises(MissingPackage, match=r"pip install 'celery\[redis\]'"):
        CeleryTaskProcessorAdapter(config).initialize()
    with pytest.raises(MisuseError, match=r"pip install 'celery\[redis\]'"):
        instantiate_adapter_from_config(config)


def test_nothing_of_celery_is_imported_before_an_adapter_is_made() -> None:
    import subprocess

    code = (
        "import sys; from remora.compat import alias; alias.install();"
        "from ray.serve.task_processor import CeleryTaskProcessorAdapter;"
        "from ray.serve.task_consumer import task_consumer;"
        "from ray.serve.async_inference_autoscaling_policy import AsyncInferenceAutoscalingPolicy;"
        "import remora.replica.user;"
        "print([name for name in ('celery', 'kombu', 'redis') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def context(replicas: int, requests: float) -> Any:
    config = SimpleNamespace(get_target_ongoing_requests=lambda: 2.0)
    return SimpleNamespace(current_num_replicas=replicas, total_num_requests=requests, config=config)


@pytest.mark.parametrize(
    ("replicas", "requests", "waiting", "right"),
    [(1, 0, 0, 0), (1, 0, 3, 1.5), (3, 4, 6, 5), (0, 0, 0, 0), (0, 0, 9, 1), (0, 1, 0, 1)],
)
def test_what_waits_counts_like_requests_and_zero_becomes_one(
    replicas: int, requests: float, waiting: int, right: float
) -> None:
    assert wanted(context(replicas, requests), waiting) == right


@pytest.mark.parametrize(
    ("broker", "given", "right"),
    [
        ("amqp://me:s%40@rabbit:5672//", None, ("http://rabbit:15672/api/queues/%2F", "me", "s@")),
        ("amqp://rabbit/jobs", None, ("http://rabbit:15672/api/queues/jobs", "guest", "guest")),
        ("amqp://a:b@x", "https://c:d@y:443/mq/api/", ("https://y:443/mq/api/queues/%2F", "c", "d")),
    ],
)
def test_where_rabbitmq_lists_its_queues(broker: str, given: str | None, right: tuple[str, str, str]) -> None:
    assert management(broker, given) == right


async def test_the_length_of_a_queue_in_rabbitmq() -> None:
    async def queues(request: web.Request) -> web.Response:
        assert request.headers["Authorization"].startswith("Basic ")
        return web.json_response([{"name": "other", "messages": 1}, {"name": "work", "messages": 7}])

    app = web.Application()
    app.router.add_get("/api/queues/jobs", queues)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://a:b@127.0.0.1:{runner.addresses[0][1]}/api/"
    try:
        assert await Queue("amqp://x/jobs", "work", url).length() == 7
        assert await Queue("amqp://x/jobs", "never", url).length() == 0
        with pytest.raises(NoLength, match="404"):
            await Queue("amqp://x/elsewhere", "work", url).length()
        policy = AsyncInferenceAutoscalingPolicy("amqp://x/jobs", "work", url)
        assert policy(context(1, 0)) == (0, {"queue_length": 0})
        assert policy._poll is not None
        await policy._poll
        assert policy(context(1, 0)) == (3.5, {"queue_length": 7})
    finally:
        await runner.cleanup()


async def test_a_broker_that_is_away_is_said_and_what_it_said_last_holds(caplog: Any) -> None:
    policy = AsyncInferenceAutoscalingPolicy("amqp://x/jobs", "work", "http://127.0.0.1:9/api/", 0.0)
    policy._length = 4
    policy(context(1, 0))
    assert policy._poll is not None
    await policy._poll
    assert policy(context(1, 0))[1] == {"queue_length": 4}
    assert "does not answer" in caplog.text
    policy._poll.cancel()
    await asyncio.gather(policy._poll, return_exceptions=True)


def test_other_brokers_cannot_be_measured() -> None:
    with pytest.raises(UnknownBroker, match="redis://"):
        Queue("sqs://x", "work")
