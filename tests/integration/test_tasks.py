"""Task consumers of `remora run`: a replica that is killed at work, one that leaves, and the guide's own commands."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from remora.tasks.consumer import instantiate_adapter_from_config
from remora.tasks.models import CeleryAdapterConfig, TaskProcessorConfig, TaskResult
from tests.e2e.guide import Step, steps
from tests.integration.test_local import ROOT, remora, until_served
from tests.ports import free_port

pytestmark = pytest.mark.ray

T = TypeVar("T")
REDIS = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(REDIS is None, reason="there is no redis-server here: apt-get install redis-server")

CODE = """
import os
import time
from pathlib import Path

from ray import serve
from ray.serve.schema import CeleryAdapterConfig, TaskProcessorConfig
from ray.serve.task_consumer import task_consumer, task_handler

WORK = TaskProcessorConfig(
    queue_name="work",
    adapter_config=CeleryAdapterConfig(
        broker_url="%(redis)s/0",
        backend_url="%(redis)s/1",
        broker_transport_options={"visibility_timeout": %(visibility_s)d, "unacked_restore_interval": 0.5},
    ),
)

@serve.deployment(
    max_ongoing_requests=2, health_check_period_s=1, graceful_shutdown_timeout_s=2, %(options)s
    ray_actor_options={"num_cpus": 0.1},
)
@task_consumer(task_processor_config=WORK)
class Works:
    @task_handler(name="wait")
    def wait(self, file):
        with open("begun", "a") as begun:
            begun.write(f"{os.getpid()}\\n")
        while not Path(file).exists():
            time.sleep(0.05)
        return os.getpid()

    @task_handler(name="pid")
    def pid(self):
        return os.getpid()

app = Works.bind()
"""
AUTOSCALED = """autoscaling_config={
        "min_replicas": 1, "max_replicas": 3, "target_ongoing_requests": 2, "upscale_delay_s": 0,
        "policy": {
            "policy_function": "ray.serve.async_inference_autoscaling_policy:AsyncInferenceAutoscalingPolicy",
            "policy_kwargs": {"broker_url": "%(redis)s/0", "queue_name": "work", "poll_interval_s": 0.2},
        },
    },"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """A Redis of the test's own, on a port of its own, which ends with it."""
    assert REDIS is not None
    port = free_port()
    argv = [REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with (tmp_path / "redis.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        until(lambda: _listens(port), "Redis listens")
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(asked: Callable[[], T], what: str, within_s: float = 60) -> T:
    deadline = time.monotonic() + within_s
    while not (found := asked()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)
    return found


class Work:
    """The application's queue, as a client sees it."""

    def __init__(self, redis: str, folder: Path) -> None:
        config = CeleryAdapterConfig(broker_url=f"{redis}/0", backend_url=f"{redis}/1")
        self.adapter = instantiate_adapter_from_config(TaskProcessorConfig(queue_name="work", adapter_config=config))
        self.folder = folder

    def wait_for(self, file: str) -> TaskResult:
        return self.adapter.enqueue_task_sync("wait", args=[str(self.folder / file)])

    def begun(self) -> list[int]:
        file = self.folder / "begun"
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    def result(self, task: TaskResult) -> int:
        found = until(lambda: self._ended(task), f"task {task.id} ends")
        assert found is not None
        assert found.status == "SUCCESS", found
        return int(found.result)

    def _ended(self, task: TaskResult) -> TaskResult | None:
        found = self.adapter.get_task_status_sync(task.id)
        return found if found.status in ("SUCCESS", "FAILURE") else None


@needs_redis
def test_a_task_of_a_killed_replica_is_run_again_by_the_next(tmp_path: Path, redis: str) -> None:
    (tmp_path / "works.py").write_text(CODE % {"redis": redis, "options": "", "visibility_s": 3})
    work = Work(redis, tmp_path)
    with remora("run", "works:app", "--port", str(free_port()), cwd=tmp_path) as process:
        until_served(process)
        task = work.wait_for("go")
        (killed,) = until(work.begun, "the task runs")
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(work.begun()) == 2, "the task runs again")
        (tmp_path / "go").touch()
        assert work.result(task) == work.begun()[1] != killed
        # Who is well says so, and can be counted.
        (answer,) = work.adapter.health_check_sync()
        (name,) = answer
        assert answer[name] == {"ok": "pong"}
        assert work.adapter.get_metrics_sync()[name]["total"] == {"wait": 1}


@needs_redis
def test_what_a_leaving_replica_cannot_finish_goes_back_and_a_cancelled_task_never_runs(
    tmp_path: Path, redis: str
) -> None:
    (tmp_path / "works.py").write_text(CODE % {"redis": redis, "visibility_s": 3600, "options": ""})
    work = Work(redis, tmp_path)
    with remora("run", "works:app", "--port", str(free_port()), cwd=tmp_path) as process:
        until_served(process)
        tasks = [work.wait_for(f"go-{number}") for number in range(4)]
        until(lambda: len(work.begun()) == 2, "two run, two wait")
        work.adapter.cancel_task_sync(tasks[3].id)
        (tmp_path / "go-0").touch()
        first = work.result(tasks[0])
    assert process.returncode == 0
    # All that had not ended is in the queue again at once, and for another replica.
    for number in range(1, 4):
        (tmp_path / f"go-{number}").touch()
    with remora("run", "works:app", "--port", str(free_port()), cwd=tmp_path) as process:
        until_served(process)
        assert {work.result(task) for task in tasks[1:3]}.isdisjoint({first})
        fresh = work.adapter.enqueue_task_sync("pid")
        work.result(fresh)
        assert work.begun().count(first) in (2, 3)


@needs_redis
def test_tasks_that_wait_bring_replicas(tmp_path: Path, redis: str) -> None:
    (tmp_path / "works.py").write_text(
        CODE % {"redis": redis, "visibility_s": 3600, "options": AUTOSCALED % {"redis": redis}}
    )
    work = Work(redis, tmp_path)
    with remora("run", "works:app", "--port", str(free_port()), cwd=tmp_path) as process:
        until_served(process)
        for _ in range(40):
            work.wait_for("go")
        until(lambda: len(set(work.begun())) == 3, "three replicas work")
        (tmp_path / "go").touch()


@needs_redis
def test_the_commands_of_the_guide(tmp_path: Path, redis: str) -> None:
    found = steps((ROOT / "docs" / "guides" / "tasks.md").read_text())
    assert len(found) == 2
    shutil.copytree(ROOT / "examples" / "tasks", tmp_path / "examples" / "tasks")
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": tools, "REDIS_URL": redis}
    port = str(free_port())
    try:
        run_steps(found, port, tmp_path, environment)
        until(lambda: not _listens(int(port)), "nothing is left")
    finally:
        pid = tmp_path / "examples" / "tasks" / "reports.pid"
        if pid.exists():
            with suppress(ProcessLookupError):
                os.kill(int(pid.read_text()), signal.SIGKILL)


def run_steps(found: Sequence[Step], port: str, tmp_path: Path, environment: Mapping[str, str]) -> None:
    """Run the commands of a guide, at another port, and see that they print what it says."""
    for step in found:
        commands = step.commands.replace("8000", port)
        argv = ["bash", "-euo", "pipefail", "-c", commands]
        with (tmp_path / "printed").open("w") as printed:
            done = subprocess.run(argv, cwd=tmp_path, env=environment, stdout=printed, timeout=90, check=False)
        said = (tmp_path / "printed").read_text()
        assert done.returncode == 0, f"{commands}\n{said}"
        assert (missing := step.missing(said)) is None, f"{missing!r} was not printed:\n{said}"
