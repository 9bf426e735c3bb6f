"""What PID 1 of head and workers does without Ray: command lines, the lost store, the life of a program."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from remora.node import commands
from remora.node.head import lost_store
from remora.node.init import Program
from remora.node.settings import HeadSettings, WorkerSettings
from remora.node.worker import sweep
from remora.replica import control
from remora.types import ReplicaId
from remora_api.meta import Port


def worker(**environment: str) -> WorkerSettings:
    given = {
        "POD_IP": "10.0.0.2",
        "POD_NAME": "w-1",
        "NODE_NAME": "n1",
        "REMORA_HEAD_ADDRESS": "head.ns",
        "REMORA_GROUP": "cpu",
        "REMORA_TEMPLATE": "t1",
        "REMORA_CPU_MILLI": "1500",
        "REMORA_RAY_KEY_FILE": "",
    }
    return WorkerSettings.read({**given, **environment})


def head(tmp_path: Path, **environment: str) -> HeadSettings:
    given = {"POD_IP": "10.0.0.1", "REMORA_RAY_KEY_FILE": "", "REMORA_STATE_DIR": str(tmp_path / "state")}
    return HeadSettings.read({**given, "REMORA_BORN_FILE": str(tmp_path / "born"), **environment})


def test_a_worker_tells_what_the_controller_must_know() -> None:
    words = commands.worker(worker(REMORA_CUSTOM_RESOURCES='{"GPU": 2, "x": 1}'))
    options = dict(pairwise(words))
    assert options["--labels"] == (
        "remora.dev/group=cpu,remora.dev/template=t1,remora.dev/pod=w-1,remora.dev/node=n1,"
        "remora.dev/cpu-milli=1500,remora.dev/memory-bytes=0"
    )
    assert (options["--num-cpus"], options["--num-gpus"], options["--resources"]) == ("2", "2", '{"x": 1}')


def test_labels_of_the_group_are_rays_beside_our_own() -> None:
    words = commands.worker(worker(REMORA_RAY_LABELS='{"disk": "ssd"}'))
    assert dict(pairwise(words))["--labels"].startswith("disk=ssd,remora.dev/group=cpu,")


def test_a_worker_removes_the_sockets_of_a_container_before_it(tmp_path: Path) -> None:
    ray, scratch = tmp_path / "ray", tmp_path / "scratch"
    stale = [ray / "session_1" / "sockets" / "raylet", scratch / control.FOLDER / "0a1b.sock"]
    kept = [ray / "session_1" / "logs" / "raylet.out", scratch / "code" / "app.py"]
    for path in (*stale, *kept):
        path.parent.mkdir(parents=True)
        path.touch()
    sweep(ray, scratch)
    assert [path.exists() for path in (*stale, *kept)] == [False, False, True, True]
    sweep(tmp_path / "none", tmp_path / "none")


def test_the_head_runs_no_user_code_and_pins_its_ports(tmp_path: Path) -> None:
    words = commands.head(head(tmp_path))
    options = dict(pairwise(words))
    assert (options["--num-cpus"], options["--port"]) == ("0", str(Port.GCS))
    assert options["--max-worker-port"] == str(Port.RAY_WORKERS[1])
    assert "--no-monitor" in words, "the operator is who adds pods"
    environment = commands.head_environment(head(tmp_path))
    assert environment["RAY_gcs_storage_path"] == str(tmp_path / "state" / "gcs")


def test_the_heads_port_may_be_left_out() -> None:
    assert worker().head == "head.ns:6379"
    assert worker(REMORA_HEAD_ADDRESS="10.0.0.1:7000").head == "10.0.0.1:7000"


def test_a_head_that_lost_its_store_does_not_start(tmp_path: Path) -> None:
    settings = head(tmp_path)
    assert lost_store(settings) == ""
    (tmp_path / "born").write_text("1\n")
    assert lost_store(settings).startswith("LostStore: ")
    settings.store.mkdir(parents=True)
    (settings.store / "CURRENT").touch()
    assert lost_store(settings) == ""


async def nothing() -> None:
    """Be ready at once, or have nothing to drain."""


@pytest.mark.parametrize("code", [0, 3])
async def test_the_container_ends_with_its_program(code: int) -> None:
    command = [sys.executable, "-c", f"raise SystemExit({code})"]
    assert await Program().run(command, os.environ, health_port=0, ready=nothing, at_sigterm=nothing) == code


async def test_sigterm_drains_first_and_then_ends_the_program() -> None:
    drained: list[bool] = []
    program = Program()

    async def drain() -> None:
        drained.append(program.is_alive and not program.is_ready)

    async def terminate() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert await program.run(command, os.environ, health_port=0, ready=terminate, at_sigterm=drain) == 0
    assert drained == [True]


async def test_probes_tell_alive_from_ready(unused_tcp_port: int) -> None:
    is_joined = asyncio.Event()
    program = Program()
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    running = asyncio.create_task(
        program.run(command, os.environ, health_port=unused_tcp_port, ready=is_joined.wait, at_sigterm=nothing)
    )

    async def status(path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
        writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        line = await reader.readline()
        writer.close()
        return line.split(b" ")[1]

    while not program.is_alive:  # noqa: ASYNC110 - a test's wait, of a turn or two
        await asyncio.sleep(0)
    assert [await status(path) for path in ("/healthz", "/readyz", "/other")] == [b"200", b"503", b"404"]
    is_joined.set()
    while not program.is_ready:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    assert await status("/readyz") == b"200"
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_pid_1_lets_its_replicas_drain(tmp_path: Path) -> None:
    asked: list[float] = []

    async def drain(seconds: float) -> None:
        asked.append(seconds)

    for name in ("app#A#00000001", "app#A#00000002"):
        await control.listen(tmp_path, ReplicaId(name), drain)
    (tmp_path / "replicas" / "dead.sock").touch()
    assert await control.drain_all(tmp_path, 5) == 3
    assert asked == [5.0, 5.0]
