"""The template of workers, without Ray: who asks it for a worker has one, and who cannot starts it as Ray would."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from remora.lean_ray import forked, template
from tests.fakes.services import until

HOST = """
import os, sys
from remora.lean_ray import template

draw = (lambda: b"alike") if "alike" in sys.argv else (lambda: os.urandom(8))
print(template.fork(lambda: __import__("colorsys"), draw), flush=True)
sys.stdin.read()
"""
WORKER = """
import json, os, signal, sys

print(json.dumps({
    "pid": os.getpid(),
    "parent": os.getppid(),
    "is_forked": "colorsys" in sys.modules,
    "argv": sys.argv,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "path": sys.path[0],
    "name": __name__,
    "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "killed_before": open("/proc/self/oom_score_adj").read(),
}))
sys.exit(3)
"""


@dataclass(frozen=True, slots=True)
class Host:
    """A process with a template."""

    process: subprocess.Popen[str]
    socket: Path


@contextmanager
def hosted(*words: str) -> Iterator[Host]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOST, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield Host(process, Path(process.stdout.readline().strip()))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def host() -> Iterator[Host]:
    with hosted() as found:
        yield found


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "default_worker.py"
    path.write_text(WORKER)
    return path


def ask(host: Host, program: Path, *words: str, **environment: str) -> dict[str, Any]:
    """Have a worker, as the raylet does; return what it says of itself."""
    done = subprocess.run(
        [sys.executable, forked.__file__, str(host.socket), str(program), *words],
        env={**os.environ, **environment},
        cwd=program.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said | {"code": done.returncode}


def template_of(host: Host) -> int:
    (pid,) = Path(f"/proc/{host.process.pid}/task/{host.process.pid}/children").read_text().split()
    return int(pid)


def test_a_worker_is_forked_with_what_it_was_asked_with(host: Host, program: Path) -> None:
    said = ask(host, program, "--runtime-env-hash=0", "a b", NAMED="here")
    assert said["is_forked"]
    assert said["parent"] == template_of(host)
    assert said["argv"] == [str(program), "--runtime-env-hash=0", "a b"]
    assert (said["folder"], said["path"], said["name"]) == (str(program.parent), str(program.parent), "__main__")
    assert said["environment"]["NAMED"] == "here"
    assert "RAY_RAYLET_PID" not in said["environment"]
    assert said["sigint"]
    assert said["killed_before"] == Path("/proc/self/oom_score_adj").read_text()
    assert said["code"] == 0, "who asked has ended well, whatever becomes of the worker"


async def test_workers_that_have_ended_are_collected(host: Host, program: Path) -> None:
    pids = [ask(host, program, "--runtime-env-hash=0")["pid"] for _ in range(3)]
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_one_with_an_environment_of_its_own_is_started(host: Host, program: Path) -> None:
    said = ask(host, program, "--runtime-env-hash=77", "a b")
    assert (said["is_forked"], said["argv"]) == (False, [str(program), "--runtime-env-hash=77", "a b"])
    assert said["code"] == 3


def test_one_is_started_where_the_template_has_gone(host: Host, program: Path) -> None:
    os.kill(template_of(host), signal.SIGKILL)
    said = ask(host, program, "--runtime-env-hash=0")
    assert (said["is_forked"], said["code"]) == (False, 3)


def test_what_asks_for_nothing_holds_up_nobody(host: Host, program: Path) -> None:
    for said in (b"", b"{", b'{"argv": ["x"]}'):
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(host.socket))
            other.sendall(said)
    assert ask(host, program, "--runtime-env-hash=0")["is_forked"]


async def test_it_ends_with_the_process_that_it_was_forked_of_and_leaves_nothing(host: Host) -> None:
    pid = template_of(host)
    assert host.socket.parent.stat().st_mode & 0o777 == 0o700, "for nobody else"
    host.process.kill()
    host.process.wait()
    await until(lambda: not Path(f"/proc/{pid}").exists() and not host.socket.parent.exists())


async def test_it_outlives_an_interrupt_from_the_keyboard(host: Host, program: Path) -> None:
    os.kill(template_of(host), signal.SIGINT)
    assert ask(host, program, "--runtime-env-hash=0")["is_forked"]


async def test_there_is_none_whose_forks_would_draw_the_same_ids(program: Path) -> None:
    with hosted("alike") as host:
        await until(lambda: not host.socket.exists())
        assert not ask(host, program, "--runtime-env-hash=0")["is_forked"]


def test_there_is_none_where_threads_would_be_missing() -> None:
    program = (
        "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start();"
        "from remora.lean_ray import template; print(template.fork(print, bytes))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "None"
    assert "2 threads" in done.stderr


def test_what_ray_is_told_at_its_import_is_told_to_nobody_else() -> None:
    before = dict(os.environ)
    with template.importable():
        assert os.environ["RAY_RAYLET_PID"] == str(os.getpid())
    assert dict(os.environ) == before
