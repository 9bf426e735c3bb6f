"""`remora run --address` to a Ray that was started with a token, and to none: a sentence, at once, or it serves."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remora.local import ray_address
from remora.local.errors import CannotServe
from tests.ports import free_port

pytestmark = pytest.mark.ray

TOKEN = secrets.token_hex(32)
HELLO = "from remora import serve\n@serve.deployment\ndef hello(request): return 'moin'\napp = hello.bind()\n"
WHERE_FROM = r"set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to .*~/.ray/auth_token is read"


@pytest.fixture(scope="module")
def ray_folder() -> str:
    """Where Ray keeps its sessions, and the address of the last that was started. Its sockets' names must be short."""
    return tempfile.mkdtemp(prefix="rt-")


@pytest.fixture(scope="module")
def address(ray_folder: str) -> Iterator[str]:
    """A Ray that asks for `TOKEN`."""
    address = f"127.0.0.1:{free_port()}"
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--port", address.rpartition(":")[2]]
    command += ["--node-ip-address", "127.0.0.1", "--include-dashboard", "false", "--num-cpus", "2", "--block"]
    command += ["--disable-usage-stats", "--object-store-memory", "100000000"]
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    environment = {**os.environ, **token, "RAY_ADDRESS": "", "RAY_TMPDIR": ray_folder}
    with tempfile.TemporaryFile() as log:
        ray = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            _until_it_answers(address)
            yield address
        finally:
            os.killpg(ray.pid, signal.SIGTERM)
            try:
                ray.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(ray.pid, signal.SIGKILL)


def _until_it_answers(address: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            return ray_address.check(address, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}, Path("/nowhere"))
        except CannotServe:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def run(address: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    (folder / "hello.py").write_text(HELLO)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RAY_A")}
    command = [sys.executable, "-m", "remora", "run", "hello:app", "--port", "0"]
    command += ["--address", address] if address else []
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**ours, "HOME": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        pytest.param({}, "asks for a token: ", id="no token"),
        pytest.param({"RAY_AUTH_TOKEN": TOKEN}, "asks for a token: ", id="the right token and not the mode"),
        pytest.param({"RAY_AUTH_MODE": "token"}, "asks for a token, and none was found: ", id="the mode and no token"),
        pytest.param(
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64},
            "is not the one that it was started",
            id="a wrong one",
        ),
    ],
)
def test_it_says_what_is_missing(address: str, tmp_path: Path, environment: dict[str, str], reason: str) -> None:
    with pytest.raises(CannotServe, match=f"the Ray at {address}|{reason}") as refused:
        ray_address.check(address, environment, tmp_path)
    assert reason in str(refused.value)
    assert re.search(WHERE_FROM, str(refused.value))


@pytest.mark.parametrize("variable", ["RAY_AUTH_TOKEN_PATH", ""])
def test_the_token_may_lie_in_a_file(address: str, tmp_path: Path, variable: str) -> None:
    path = tmp_path / "mine" if variable else tmp_path / ".ray" / "auth_token"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{TOKEN}\n")
    ray_address.check(address, {"RAY_AUTH_MODE": "token"} | ({variable: str(path)} if variable else {}), tmp_path)


def test_the_command_ends_with_that_sentence_alone(address: str, tmp_path: Path) -> None:
    output, _ = run(address, tmp_path).communicate(timeout=30)
    assert re.fullmatch(rf"remora: the Ray at {address} asks for a token: {WHERE_FROM}\)\n", output)


def test_an_address_at_which_nobody_listens_is_said_at_once(tmp_path: Path) -> None:
    process = run("127.0.0.1:1", tmp_path)
    output, _ = process.communicate(timeout=30)
    assert output.startswith("remora: no Ray answers at 127.0.0.1:1: ")
    assert (process.returncode, output.count("\n")) == (1, 1)


def test_with_the_token_it_serves(address: str, tmp_path: Path) -> None:
    until_served(run(address, tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN))


def test_without_an_address_it_starts_a_ray_of_its_own(address: str, ray_folder: str, tmp_path: Path) -> None:
    deadline = time.monotonic() + 30
    while not list(Path(ray_folder).glob("**/ray_current_cluster")):
        assert time.monotonic() < deadline, "Ray has no note of the one that runs"
        time.sleep(0.1)
    until_served(run("", tmp_path, RAY_TMPDIR=ray_folder))


def until_served(process: subprocess.Popen[str]) -> None:
    """Read until it serves, and end it."""
    assert process.stdout is not None
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "is served at" in line:
                break
        assert "is served at" in lines[-1], lines
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
