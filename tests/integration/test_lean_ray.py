"""A Ray without processes that serve nobody: the Ray installed lets them be left out, and works."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray._private import services
from ray._private.node import Node
from ray._raylet import (  # type: ignore[attr-defined]
    DASHBOARD_AGENT_LISTEN_PORT_NAME,
    METRICS_AGENT_PORT_NAME,
    METRICS_EXPORT_PORT_NAME,
    RUNTIME_ENV_AGENT_PORT_NAME,
    get_port_filename,
)

from remora.lean_ray import agents, stand_in
from remora.lean_ray.__main__ import ADDRESS, joinable, without
from remora.lean_ray.lean import NOT_NEEDED, START_PROCESS, lean
from remora.replica.actor import ReplicaActor
from tests.fakes.services import until

ENDS_WITHIN_S = 20
PROGRAM = """
import os, time
import ray
from remora.lean_ray.lean import lean

with lean():
    ray.init("local", include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False, num_cpus=1)

@ray.remote
def asked(name):
    return os.environ.get(name)

def running():
    lines = [open(f"/proc/{pid}/cmdline").read().replace("\\0", " ") for pid in children(raylet())]
    return sorted(line for line in lines if "stand_in" in line or "Agent" in line or "agent" in line)

def children(parent):
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and stat(pid)[1] == str(parent)]

def stat(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    except OSError:
        return ["", ""]

def raylet():
    return ray._private.worker._global_node.all_processes["raylet"][0].process.pid

assert ray.get(asked.remote("NAMED"), timeout=60) is None
before = running()
assert len(before) == 2 and all("stand_in" in line for line in before), before
assert ray.get(asked.options(runtime_env={"env_vars": {"NAMED": "here"}}).remote("NAMED"), timeout=60) == "here"
after = running()
assert len([line for line in after if "stand_in" in line]) == 1 and len(after) == 2, after
print("as it has to be")
ray.shutdown()
"""


def test_the_ray_installed_has_all_that_is_left_out_and_gets_it_back() -> None:
    before = {name: vars(Node)[name] for name in NOT_NEEDED}
    start = vars(services)[START_PROCESS]
    with lean():
        for name, method in before.items():
            assert vars(Node)[name] is not method
            getattr(Node, name)(None, include_dashboard=False)
        assert vars(services)[START_PROCESS] is not start
    assert {name: vars(Node)[name] for name in NOT_NEEDED} == before
    assert vars(services)[START_PROCESS] is start


def test_files_of_ports_are_called_as_ray_calls_them() -> None:
    node = "ab" * 28
    unused = (METRICS_AGENT_PORT_NAME, METRICS_EXPORT_PORT_NAME, DASHBOARD_AGENT_LISTEN_PORT_NAME)
    ours = tuple(f"{name}_{node}" for name in agents.UNUSED_PORTS)
    assert tuple(get_port_filename(node, name) for name in unused) == ours
    assert get_port_filename(node, RUNTIME_ENV_AGENT_PORT_NAME) == f"{agents.RUNTIME_ENV_PORT}_{node}"


def test_a_ray_has_stand_ins_and_the_agent_of_runtime_environments_when_one_is_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip().endswith("as it has to be"), done.stderr


def test_what_is_imported_ahead_is_all_that_a_replica_imports_before_the_users_code() -> None:
    source = textwrap.dedent(inspect.getsource(ReplicaActor._begin))
    block = ast.parse(source).body[0]
    assert isinstance(block, ast.AsyncFunctionDef)
    imports: list[ast.stmt] = [it for it in block.body if isinstance(it, ast.ImportFrom)]
    assert imports
    program = (
        f"import ray, remora.replica.ahead, sys\nbefore = set(sys.modules)\n{ast.unparse(ast.Module(imports, []))}\n"
    )
    program += "print(sorted(it for it in set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("before", "apart"), [("", True), ("import ray.scripts.scripts; ", False)])
def test_workers_that_are_forked_of_the_ray_installed_draw_ids_of_their_own(before: str, apart: bool) -> None:
    program = (
        "from remora.lean_ray.__main__ import draw, load; from remora.lean_ray import template;"
        f"{before}load(); print(template.are_apart(draw))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(apart), (
        "if False has become True, what says so in lean_ray/__main__ is out of date"
    )


async def test_a_head_that_is_joined_is_waited_for_and_named_by_its_number(unused_tcp_port: int) -> None:
    words = ["start", ADDRESS, f"localhost:{unused_tcp_port}", "--block"]
    waiting = asyncio.create_task(joinable(words))
    await asyncio.sleep(0)
    assert not waiting.done()
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", unused_tcp_port):
        assert await waiting == ["start", ADDRESS, f"127.0.0.1:{unused_tcp_port}", "--block"]
    assert await joinable(["start", "--head"]) == ["start", "--head"]


@contextmanager
def standing_in(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    program = [sys.executable, "-I", "-S", str(Path(stand_in.__file__)), *arguments]
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


async def test_one_for_ports_that_are_not_in_use_says_so_and_ends_with_the_raylet(tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    with standing_in(*map(str, files)) as process:
        await until(lambda: all(file.exists() for file in files))
        assert [file.read_text() for file in files] == ["-1", "-1"]
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(ENDS_WITHIN_S) == 0


async def test_one_that_is_asked_becomes_the_agent_on_the_port_that_it_named(tmp_path: Path) -> None:
    file = tmp_path / "port"
    agent = ("-c", "import sys; print(sys.argv[1])", "--port=")
    with standing_in(str(file), stand_in.AGENT, "127.0.0.1", "0", sys.executable, *agent) as process:
        await until(file.exists)
        port = int(file.read_text())
        socket.create_connection(("127.0.0.1", port)).close()
        out, _ = process.communicate(timeout=ENDS_WITHIN_S)
        assert out.strip() == f"--port={port}"


async def test_one_that_nobody_asks_ends_with_the_raylet(tmp_path: Path) -> None:
    file = tmp_path / "port"
    with standing_in(str(file), stand_in.AGENT, "127.0.0.1", "0", "/bin/false", "--port=") as process:
        await until(file.exists)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(ENDS_WITHIN_S) == 0


def test_the_command_imports_no_other_commands() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "remora.lean_ray", "start", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "--node-ip-address" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ray.scripts.scripts" in imported
    assert not imported & {"ray.serve", "fastapi", "aiohttp"}


def test_what_is_left_out_is_there_again_afterwards() -> None:
    with without("wave"), pytest.raises(ModuleNotFoundError):
        importlib.import_module("wave")
    assert importlib.import_module("wave").__name__ == "wave"
