"""What replicas print, on the way to the terminal."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from remora.local.output import Output


@pytest.fixture
def terminal() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def output(tmp_path: Path, terminal: io.BytesIO) -> Iterator[Output]:
    made = Output(tmp_path / "output", terminal)
    yield made
    made.close()


def printed(output: Output, text: bytes) -> None:
    fd = os.open(output.path, os.O_WRONLY)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def test_what_was_printed_before_it_ends_is_copied(tmp_path: Path, terminal: io.BytesIO) -> None:
    output = Output(tmp_path / "output", terminal)
    printed(output, b"one\n")
    output.close()
    assert terminal.getvalue() == b"one\n"


def test_muted_it_has_copied_all_that_came_before_and_copies_nothing_after(
    output: Output, terminal: io.BytesIO
) -> None:
    printed(output, b"before\n")
    output.mute()
    assert terminal.getvalue() == b"before\n"
    printed(output, b"after\n")
    output.mute()
    assert terminal.getvalue() == b"before\n"


def test_muted_nobody_who_prints_has_to_wait(output: Output, terminal: io.BytesIO) -> None:
    output.mute()
    # Much more than a pipe holds.
    for _ in range(64):
        printed(output, b"x" * 65_536)
    assert terminal.getvalue() == b""


def test_it_ends_with_a_full_pipe_and_copies_it_all(tmp_path: Path) -> None:
    terminal = Stuck()
    output = Output(tmp_path / "output", terminal)
    printed(output, b"first\n")
    terminal.is_stuck.wait()
    fd = os.open(output.path, os.O_WRONLY | os.O_NONBLOCK)
    filled = 0
    with suppress(BlockingIOError):
        while True:
            filled += os.write(fd, b"x" * 4_096)
    os.close(fd)
    # Freed only when `close` has asked it to end: the pipe is full then.
    threading.Timer(0.05, terminal.goes_on.set).start()
    output.close()
    assert terminal.getvalue() == b"first\n" + b"x" * filled


class Stuck(io.BytesIO):
    """A terminal that takes nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_stuck = threading.Event()
        self.goes_on = threading.Event()

    def write(self, data: Any, /) -> int:
        self.is_stuck.set()
        self.goes_on.wait()
        return super().write(data)
