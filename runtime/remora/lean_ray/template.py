"""The template of a node's workers: a process that has imported what they import, and forks itself for each.

A worker that is forked has Ray and the replica's modules at once, where one that is started takes half a second of a
core for them, and shares their memory with the template. Nothing of Ray was called there, and it has one thread.

    raylet ── starts ──▶ forked.py ── its words, environment and outputs, over a socket ──▶ template ── fork ──▶ worker
"""

from __future__ import annotations

import array
import gc
import json
import logging
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

log = logging.getLogger("remora.lean_ray")

NO_JOB: Final = "ffffffff"
BACKLOG: Final = 64
PART_BYTES: Final = 1 << 16
DESCRIPTORS: Final = 3
PATIENCE_S: Final = 10.0
"""For what one worker is told: who asks sends it at once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a worker is told by who started it."""

    argv: tuple[str, ...]
    """The program's path first."""
    environment: Mapping[str, str]
    folder: str
    path: tuple[str, ...]
    """Where modules are looked for, without the program's folder."""
    killed_before: str
    """Its oom_score_adj, which the raylet sets for what it starts."""

    @staticmethod
    def of(message: bytes) -> Asked:
        """Return what a message says; raise ValueError, KeyError or TypeError for one that is none."""
        said: dict[str, Any] = json.loads(message)
        return Asked(
            tuple(said["argv"]), dict(said["environment"]), said["folder"], tuple(said["path"]), said["killed_before"]
        )


@contextmanager
def importable() -> Iterator[None]:
    """Let Ray be imported in the block for workers that are forked later.

    It reads two things of a worker's environment then, and never again: the job, where a worker of none takes that of
    the first that asks for it, as Ray's own that are started ahead; and the process with which a worker ends, which is
    to be this one.
    """
    given = {"RAY_JOB_ID": NO_JOB, "RAY_RAYLET_PID": str(os.getpid())}
    os.environ.update(given)  # noqa: TID251 - read by Ray's C++ code
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]  # noqa: TID251 - as above


def fork(load: Callable[[], None], draw: Callable[[], bytes]) -> Path | None:
    """Fork a template of this process, which ends with it; return the path of the socket at which it listens.

    `load` imports there what workers import, `draw` makes an id by chance as they do. None where this process has
    threads already: those would be missing in the fork, with all that they had locked.
    """
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        log.warning("workers are started one by one, as Ray's import has left %d threads", threads)
        return None
    # For nobody else: who connects has code run here.
    path = Path(tempfile.mkdtemp(prefix="remora-template-")) / "socket"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    listening.listen(BACKLOG)
    ours, theirs = os.pipe()
    if os.fork():
        # The other end stays open as long as this process lives.
        os.close(ours)
        listening.close()
        return path
    os.close(theirs)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    load()
    gc.collect()
    gc.freeze()
    if not are_apart(draw):
        log.error("workers are started one by one, as forks of one process would give things the same ids")
        _end(listening)
    signal.signal(signal.SIGCHLD, _reap)
    asked, descriptors = _until_forked(listening, ours)
    _become(asked, descriptors)
    sys.exit(0)


def are_apart(draw: Callable[[], bytes]) -> bool:
    """Whether two forks of this process draw different ids.

    Ray's generator is seeded when it is first asked, and one that was asked before a fork goes on alike in all of them.
    """
    return _drawn_in_a_fork(draw) != _drawn_in_a_fork(draw)


def _drawn_in_a_fork(draw: Callable[[], bytes]) -> bytes:
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(theirs, draw())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        found = pipe.read()
    os.waitpid(pid, 0)
    return found


def _end(listening: socket.socket) -> None:
    shutil.rmtree(Path(listening.getsockname()).parent, ignore_errors=True)
    os._exit(0)


def _until_forked(listening: socket.socket, parent: int) -> tuple[Asked, list[int]]:
    """Fork for everyone who asks; return in the forks only."""
    while True:
        readable, _, _ = select.select([listening.fileno(), parent], [], [])
        if parent in readable:
            _end(listening)
        connection, _ = listening.accept()
        with connection:
            asked, descriptors = _received(connection)
            if asked is not None:
                if not os.fork():
                    os.close(parent)
                    listening.close()
                    return asked, descriptors
                _answer(connection)
        _close(descriptors)


def _received(connection: socket.socket) -> tuple[Asked | None, list[int]]:
    """Return what somebody asks for, None where that is nothing, and the descriptors that came with it."""
    connection.settimeout(PATIENCE_S)
    parts: list[bytes] = []
    descriptors = array.array("i")
    room = socket.CMSG_SPACE(DESCRIPTORS * descriptors.itemsize)
    try:
        while True:
            data, ancillary, _, _ = connection.recvmsg(PART_BYTES, room)
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
            if not data:
                return Asked.of(b"".join(parts)), list(descriptors)
            parts.append(data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("a worker could not be forked: %s: %s", type(error).__name__, error)
        return None, list(descriptors)


def _answer(connection: socket.socket) -> None:
    try:
        connection.sendall(b"1")
    except OSError as error:
        log.warning("nobody waits for a worker that was forked: %s", error)


def _become(asked: Asked, descriptors: list[int]) -> None:
    """Be the worker."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    _close(descriptors)
    os.chdir(asked.folder)
    os.environ.clear()  # noqa: TID251 - it is another process's by now
    os.environ.update(asked.environment)  # noqa: TID251 - as above
    Path("/proc/self/oom_score_adj").write_text(asked.killed_before)
    program = asked.argv[0]
    sys.argv = list(asked.argv)
    sys.path[:] = [str(Path(program).parent), *asked.path]
    runpy.run_path(program, run_name="__main__")


def _reap(_signal: int, _frame: FrameType | None) -> None:
    """Collect the workers that have ended: they are this process's children, and the raylet's by name only."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
