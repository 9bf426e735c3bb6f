"""The sides of the comparison: a host process each, started once, told which program to serve."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import urlopen

from benchmarks import processes
from benchmarks.goals import Side

ROOT = Path(__file__).parent.parent
START_S = 120
ORDER_S = 300
ANSWER_S = 30
ASK_AGAIN_S = 0.01

# Ray Serve's own switches for throughput: HAProxy before the replicas, no thread hops, buffered logs.
SWITCHES: Mapping[Side, Mapping[str, str]] = {
    Side.BEST: {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
}
HOSTS = {Side.BARE: "bare_uvicorn", Side.DEFAULT: "ray_serve", Side.BEST: "ray_serve", Side.REMORA: "remora"}


class SideFailed(Exception):
    """A host did not start, or could not do what it was told."""


class Host:
    """One side's processes; they end with the block."""

    def __init__(self, side: Side, python: Path, program: str = "") -> None:
        self.side = side
        self.program = program or HOSTS[side]
        """Module of `benchmarks.hosts`."""
        self.mark = f"{self.program}-{secrets.token_hex(4)}"
        self.url = ""
        self.python = python
        self._scratch = Path(tempfile.mkdtemp(prefix="rb-", dir="/tmp"))
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Host:
        reading, writing = os.pipe()
        words = ["--replies", str(writing)]
        if self.program in ("ray_serve", "remora"):
            words += ["--port", str(free_port())]
        if self.program == "remora":
            words += ["--log", str(self._scratch / "access.log")]
        if self.side is Side.BEST:
            # HAProxy listens on all addresses, whatever it is told.
            words += ["--host", "0.0.0.0"]
        with (self._scratch / "output.txt").open("wb") as output:
            self._process = subprocess.Popen(
                [str(self.python), "-m", f"benchmarks.hosts.{self.program}", *words],
                cwd=ROOT,
                env=environment(self._scratch, self.mark, SWITCHES.get(self.side, {})),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=[writing],
                text=True,
                start_new_session=True,
            )
        os.close(writing)
        self._answers = os.fdopen(reading)
        try:
            self._read(START_S)
        except SideFailed:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        processes.end(self.mark)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def order(self, do: str, **given: Any) -> Mapping[str, Any]:
        """Tell the host to do something, and return its answer; raises SideFailed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **given}) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise SideFailed(f"{self.side}: its host has ended: {self._said()}") from error
        return self._read(ORDER_S)

    def run(self, program: str, **args: Any) -> Mapping[str, Any]:
        """Serve a program and wait until it answers."""
        answer = self.order("run", program=program, args=args)
        self.url = answer["url"]
        return answer

    def delete(self) -> None:
        """Take the program away."""
        self.order("delete")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[tuple[Path, str]]:
        """Give a folder and a mark for more processes of this side; what is left of them is killed."""
        folder = Path(tempfile.mkdtemp(prefix="rb-", dir="/tmp"))
        mark = f"more-{secrets.token_hex(4)}"
        try:
            yield folder, mark
        finally:
            processes.end(mark)
            shutil.rmtree(folder, ignore_errors=True)

    def pids(self) -> list[int]:
        """Return all processes of the side."""
        return processes.marked(self.mark)

    def _read(self, limit_s: float) -> Mapping[str, Any]:
        ready, _, _ = select.select([self._answers], [], [], limit_s)
        text = self._answers.readline() if ready else ""
        if not text:
            raise SideFailed(f"{self.side}: no answer of its host: {self._said()}")
        answer: Mapping[str, Any] = json.loads(text)
        if "error" in answer:
            raise SideFailed(f"{self.side}: {answer['error']}")
        return answer

    def _said(self) -> str:
        return (self._scratch / "output.txt").read_text(errors="replace")[-2000:]


def environment(scratch: Path, mark: str, switches: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a side: ours without anything of Ray's, with its mark and its switches."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "REMORA_"))}
    return {
        **kept,
        **switches,
        processes.MARK: mark,
        "PYTHONPATH": str(ROOT),
        # Ray's sockets need a short path, and everything that it leaves goes with the folder.
        "RAY_TMPDIR": str(scratch),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def answers(url: str, limit_s: float = ANSWER_S) -> None:
    """Wait until the URL answers with 200; raises SideFailed."""
    end = time.monotonic() + limit_s
    why = "nothing"
    while time.monotonic() < end:
        try:
            with urlopen(url, timeout=5) as response:
                if response.status == 200:
                    return
        except OSError as error:
            why = str(error)
        # Asked as fast as can be, this process would take a core from those that it waits for.
        time.sleep(ASK_AGAIN_S)
    raise SideFailed(f"{url} did not answer with 200 within {limit_s:g} s: {why}")


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def python_of(side: Side, ray_serve: Path) -> Path:
    """Return the interpreter that the side's host runs in."""
    return ray_serve if side in (Side.DEFAULT, Side.BEST) else Path(sys.executable)
