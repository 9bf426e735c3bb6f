"""Task consumers: deployments that take work from a queue, here in a Redis of the test's own."""

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest
from ray import serve
from ray.serve.async_inference_autoscaling_policy import AsyncInferenceAutoscalingPolicy
from ray.serve.schema import CeleryAdapterConfig, TaskProcessorAdapter, TaskProcessorConfig, TaskResult
from ray.serve.task_consumer import instantiate_adapter_from_config, task_consumer, task_handler
from ray.serve.task_processor import CeleryTaskProcessorAdapter
from ray.serve.taskiq_task_processor import TaskiqAdapterConfig, TaskiqTaskProcessorAdapter

ENDED = ("SUCCESS", "FAILURE", "REVOKED")


@pytest.fixture
def queue(tmp_path):
    """A config of a queue with changes; its Redis is the test's own, and begins and ends with it."""
    server = shutil.which("redis-server")
    assert server, "there is no redis-server here: apt-get install redis-server"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([server, *options], stdout=subprocess.DEVNULL)

    def queue_(name="work", **changes):
        celery = CeleryAdapterConfig(
            broker_url=f"redis://127.0.0.1:{port}/0",
            backend_url=f"redis://127.0.0.1:{port}/1",
            task_custom_config=changes.pop("task_custom_config", None),
        )
        return TaskProcessorConfig(queue_name=name, adapter_config=celery, **changes)

    try:
        until(lambda: listens(port))
        yield queue_
    finally:
        process.terminate()
        process.wait(10)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(holds, timeout_s=30):
    end = time.monotonic() + timeout_s
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def ended(adapter, task, timeout_s=30):
    """The task's result, once there is one."""

    def holds():
        found = adapter.get_task_status_sync(task.id)
        return found if found.status in ENDED else None

    return until(holds, timeout_s)


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def note(path, line):
    with open(path, "a") as file:
        file.write(f"{line}\n")


def test_a_handler_runs_tasks_and_their_results_are_kept(run, queue):
    config = queue()

    @serve.deployment
    @task_consumer(task_processor_config=config)
    class Works:
        def __init__(self, factor):
            self.factor = factor

        @task_handler(name="times")
        def multiply(self, number, *, more=0):
            return self.factor * number + more

        @task_handler
        def whoami(self):
            context = serve.get_replica_context()
            return [context.app_name, context.deployment]

        def plain(self):
            return self.factor

    handle = run(Works.bind(3), name="works", route_prefix="/works")
    adapter = instantiate_adapter_from_config(config)
    task = adapter.enqueue_task_sync("times", args=[4], kwargs={"more": 1})
    assert (task.status, task.result) == ("PENDING", None)
    assert time.time() - task.created_at < 30
    found = ended(adapter, task)
    assert (found.id, found.status, found.result) == (task.id, "SUCCESS", 13)
    assert ended(adapter, adapter.enqueue_task_sync("whoami")).result == ["works", "Works"]
    assert handle.plain.remote().result() == 3


def test_an_ingress_enqueues_for_a_consumer_that_is_bound_to_it(run, http, queue):
    config = queue()

    @serve.deployment
    @task_consumer(task_processor_config=config)
    class Works:
        @task_handler(name="twice")
        def twice(self, number):
            return 2 * number

    @serve.deployment
    class Ingress:
        def __init__(self, given, consumer):
            self.adapter = instantiate_adapter_from_config(given)

        def __call__(self, request):
            params = request.query_params
            if "number" in params:
                return self.adapter.enqueue_task_sync("twice", args=[int(params["number"])]).id
            found = self.adapter.get_task_status_sync(params["id"])
            return {"status": found.status, "result": found.result}

    run(Ingress.bind(config, Works.bind()), name="pair", route_prefix="/pair")
    id = http.get("/pair", params={"number": 21}).text

    def answer():
        found = http.get("/pair", params={"id": id}).json()
        return found if found["status"] == "SUCCESS" else None

    assert until(answer)["result"] == 42


def test_a_task_that_raises_is_tried_again_and_then_reported(run, queue, tmp_path):
    tries, reports = tmp_path / "tries", tmp_path / "reports"
    config = queue(max_retries=1, failed_task_queue_name="failed")

    @serve.deployment
    @task_consumer(task_processor_config=config)
    class Fails:
        @task_handler(name="fail")
        def fail(self, word):
            note(tries, word)
            raise ValueError(f"no {word}")

    @serve.deployment
    @task_consumer(task_processor_config=queue("failed"))
    class Failed:
        @task_handler(name="fail")
        def hear(self, *report):
            note(reports, repr(report))

    @serve.deployment
    class Both:
        def __init__(self, *consumers):
            pass

    run(Both.bind(Fails.bind(), Failed.bind()), name="fails", route_prefix="/fails")
    adapter = instantiate_adapter_from_config(config)
    task = adapter.enqueue_task_sync("fail", args=["way"])
    found = ended(adapter, task)
    assert (found.status, str(found.result)) == ("FAILURE", "no way")
    assert lines(tries) == ["way", "way"]
    id, reason, args, kwargs, trace = eval(until(lambda: lines(reports))[0])
    assert (id, args, kwargs) == (task.id, "['way']", "{}")
    assert "no way" in reason
    assert "ValueError: no way" in trace


def test_a_task_without_a_handler_is_reported(run, queue, tmp_path):
    reports = tmp_path / "reports"
    config = queue(unprocessable_task_queue_name="unknown")

    @serve.deployment
    @task_consumer(task_processor_config=config)
    class Works:
        @task_handler(name="known")
        def known(self):
            return "fine"

    @serve.deployment
    @task_consumer(task_processor_config=queue("unknown"))
    class Unknown:
        @task_handler(name="never heard of")
        def hear(self, *report):
            note(reports, repr(report[:2]))

    @serve.deployment
    class Both:
        def __init__(self, *consumers):
            pass

    run(Both.bind(Works.bind(), Unknown.bind()), name="unknown", route_prefix="/unknown")
    adapter = instantiate_adapter_from_config(config)
    task = adapter.enqueue_task_sync("never heard of", args=[1])
    assert until(lambda: lines(reports)) == [repr(("never heard of", task.id))]
    assert ended(adapter, adapter.enqueue_task_sync("known")).result == "fine"


def test_as_many_tasks_run_at_once_as_requests_may(run, queue):
    config = queue()

    @serve.deployment(max_ongoing_requests=2)
    @task_consumer(task_processor_config=config)
    class Counts:
        def __init__(self):
            self.lock, self.now, self.most = threading.Lock(), 0, 0

        @task_handler(name="wait")
        def wait(self):
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(0.2)
            with self.lock:
                self.now -= 1
            return self.most

    run(Counts.bind(), name="counts", route_prefix="/counts")
    adapter = instantiate_adapter_from_config(config)
    tasks = [adapter.enqueue_task_sync("wait") for _ in range(6)]
    assert max(ended(adapter, task).result for task in tasks) == 2


def test_a_task_that_runs_ends_before_its_replica_does(run, queue, tmp_path):
    begun = tmp_path / "begun"
    config = queue()

    @serve.deployment(max_ongoing_requests=1)
    @task_consumer(task_processor_config=config)
    class Slow:
        @task_handler(name="slow")
        def slow(self):
            note(begun, os.getpid())
            time.sleep(3)
            return "done"

    run(Slow.bind(), name="slow", route_prefix="/slow")
    adapter = instantiate_adapter_from_config(config)
    task = adapter.enqueue_task_sync("slow")
    until(lambda: lines(begun))
    serve.delete("slow")
    assert ended(adapter, task).result == "done"
    assert len(lines(begun)) == 1


def test_an_async_handler_fails_the_deployment(run, queue):
    @serve.deployment
    @task_consumer(task_processor_config=queue())
    class Wrong:
        @task_handler(name="wrong")
        async def wrong(self):
            return 1

    with pytest.raises(RuntimeError):
        run(Wrong.bind(), name="wrong", route_prefix="/wrong")
    deployment = serve.status().applications["wrong"].deployments["Wrong"]
    assert "NotImplementedError" in deployment.message


class InMemory(TaskProcessorAdapter):
    """An adapter of the user's own."""

    def __init__(self, config):
        self.config, self.handlers, self.concurrency, self.done = config, {}, None, {}

    def initialize(self, consumer_concurrency=5):
        self.concurrency = consumer_concurrency

    def register_task_handle(self, func, name=None):
        self.handlers[name] = func

    def enqueue_task_sync(self, task_name, args=None, kwargs=None, **options):
        self.done["1"] = self.handlers[task_name](*(args or ()), **(kwargs or {}))
        return TaskResult(id="1", status="SUCCESS", result=None)

    def get_task_status_sync(self, task_id):
        return TaskResult(id=task_id, status="SUCCESS", result=self.done[task_id])

    def start_consumer(self, **kwargs):
        note(self.config.adapter_config["log"], f"start {self.concurrency} {sorted(self.handlers)}")

    def stop_consumer(self, timeout=10.0):
        note(self.config.adapter_config["log"], "stop")

    def cancel_task_sync(self, task_id):
        del self.done[task_id]

    def get_metrics_sync(self):
        return {}

    def health_check_sync(self):
        return []


def test_an_adapter_of_the_users_own_is_started_and_stopped(run, tmp_path):
    config = TaskProcessorConfig(queue_name="mine", adapter=InMemory, adapter_config={"log": str(tmp_path / "log")})

    @serve.deployment(max_ongoing_requests=7)
    @task_consumer(task_processor_config=config)
    class Mine:
        @task_handler
        async def first(self):
            return 1

        @task_handler(name="other")
        def second(self):
            return 2

    run(Mine.bind(), name="mine", route_prefix="/mine")
    assert lines(tmp_path / "log") == ["start 7 ['first', 'other']"]
    serve.delete("mine")
    until(lambda: lines(tmp_path / "log")[1:] == ["stop"])


def test_an_adapter_may_be_named_or_given():
    for adapter in (InMemory, f"{__name__}.InMemory", f"{__name__}:InMemory"):
        made = instantiate_adapter_from_config(
            TaskProcessorConfig(queue_name="mine", adapter=adapter, adapter_config=None)
        )
        assert (type(made).__name__, made.concurrency) == ("InMemory", 5)
    for method, args in (
        ("enqueue_task_async", ["x"]),
        ("get_task_status_async", ["1"]),
        ("cancel_task_async", ["1"]),
        ("get_metrics_async", []),
        ("health_check_async", []),
    ):
        with pytest.raises(NotImplementedError):
            asyncio.run(getattr(made, method)(*args))
    for wrong, error in ((dict, (TypeError, RuntimeError)), ("no_such_module.Adapter", ImportError)):
        with pytest.raises(error):
            instantiate_adapter_from_config(TaskProcessorConfig(queue_name="mine", adapter=wrong, adapter_config=None))
    with pytest.raises(TypeError):
        TaskProcessorAdapter()


def test_configs_have_defaults_and_are_checked(queue):
    config = TaskProcessorConfig(queue_name="q", adapter_config=None)
    assert config.adapter == "ray.serve.task_processor.CeleryTaskProcessorAdapter"
    assert (config.max_retries, config.failed_task_queue_name, config.unprocessable_task_queue_name) == (3, None, None)
    celery = CeleryAdapterConfig(broker_url="redis://a", backend_url="redis://b")
    assert (celery.app_custom_config, celery.task_custom_config, celery.broker_transport_options) == (None, None, None)
    for model, given in ((TaskProcessorConfig, {"queue_name": "q"}), (CeleryAdapterConfig, {"broker_url": "redis://"})):
        with pytest.raises(ValueError):
            model(**given)
    with pytest.raises(TypeError):
        CeleryTaskProcessorAdapter(config)
    with pytest.raises(RuntimeError):
        instantiate_adapter_from_config(config)
    taken = CeleryAdapterConfig(
        broker_url="memory://", backend_url="cache+memory://", app_custom_config={"worker_pool": "solo"}
    )
    with pytest.raises(ValueError, match="worker_pool"):
        CeleryTaskProcessorAdapter(TaskProcessorConfig(queue_name="q", adapter_config=taken))
    result = TaskResult(id="1", status="PENDING", result=None)
    assert result.created_at is None
    for wrong in ("", "  ", 3):
        with pytest.raises(ValueError):
            task_handler(name=wrong)
    with pytest.raises(TypeError):
        task_consumer(config)


def test_a_consumer_is_still_its_class(queue):
    class Works:
        """What it does."""

        def __init__(self, word):
            self.word = word

        @task_handler(name="x")
        def x(self, more):
            return self.word + more

    consumer = task_consumer(task_processor_config=queue())(Works)
    assert (consumer.__name__, consumer.__doc__, consumer.__module__) == ("Works", "What it does.", __name__)
    assert issubclass(consumer, Works)
    assert Works("a").x("b") == "ab"


def test_taskiq_has_a_config_and_does_nothing_yet():
    config = TaskiqAdapterConfig(broker_type="redis_stream", broker_kwargs={"url": "redis://localhost"})
    assert config.result_backend_url is None
    whole = TaskProcessorConfig(queue_name="q", adapter=TaskiqTaskProcessorAdapter, adapter_config=config)
    adapter = TaskiqTaskProcessorAdapter(whole)
    for call in (
        lambda: adapter.register_task_handle(print),
        lambda: adapter.enqueue_task_sync("x"),
        lambda: adapter.get_task_status_sync("1"),
        lambda: adapter.start_consumer(),
        lambda: adapter.stop_consumer(),
        lambda: adapter.cancel_task_sync("1"),
        lambda: adapter.get_metrics_sync(),
        lambda: adapter.health_check_sync(),
    ):
        with pytest.raises(NotImplementedError):
            call()
    for wrong in ({"broker_type": "pigeon"}, {"broker_type": "redis_list"}, {"broker_type": "kafka"}):
        with pytest.raises(RuntimeError, match=wrong["broker_type"]):
            instantiate_adapter_from_config(
                TaskProcessorConfig(
                    queue_name="q", adapter=TaskiqTaskProcessorAdapter, adapter_config=TaskiqAdapterConfig(**wrong)
                )
            )
    with pytest.raises(TypeError):
        TaskiqTaskProcessorAdapter(TaskProcessorConfig(queue_name="q", adapter_config=None))


@pytest.fixture
def redis():
    """Says of every list that it has two items, and of the rest that it is fine."""
    listener = socket.create_server(("127.0.0.1", 0))

    def converse(connection):
        with connection, connection.makefile("rb") as said:
            while line := said.readline():
                words = [said.read(int(said.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]
                answer = {b"LLEN": b":2\r\n", b"HELLO": b"%1\r\n+proto\r\n:3\r\n"}.get(words[0].upper(), b"+OK\r\n")
                connection.sendall(answer)

    def serve_():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(connection,), daemon=True).start()

    threading.Thread(target=serve_, daemon=True).start()
    yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    listener.close()


def situation(replicas, requests=0.0):
    config = SimpleNamespace(get_target_ongoing_requests=lambda: 2.0)
    return SimpleNamespace(current_num_replicas=replicas, total_num_requests=requests, config=config)


def test_a_policy_counts_what_waits_in_the_queue(redis):
    async def asked():
        policy = AsyncInferenceAutoscalingPolicy(broker_url=redis, queue_name="work", poll_interval_s=0.05)
        at_first = policy(situation(1))
        for _ in range(200):
            await asyncio.sleep(0.05)
            if policy(situation(1))[1]["queue_length"]:
                break
        return at_first, policy(situation(3, 6.0)), policy(situation(0))

    at_first, later, at_zero = asyncio.run(asked())
    assert at_first == (0, {"queue_length": 0})
    assert later == (7, {"queue_length": 8})
    assert at_zero == (1, {"queue_length": 8})


def test_a_policy_knows_redis_and_rabbitmq():
    async def asked(url):
        policy = AsyncInferenceAutoscalingPolicy(broker_url=url, queue_name="work")
        return policy(situation(0))

    with pytest.raises(NotImplementedError):
        asyncio.run(asked("pigeon://loft"))
