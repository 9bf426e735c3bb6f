"""CPU time and memory of processes, as the kernel counts them in /proc.

Processes of a side are found by a variable in their environment, which Ray's daemons, workers and HAProxy inherit:
parentage does not do, as some of them leave their parents.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

MARK = "REMORA_BENCHMARK_SIDE"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_ticks(stat: str) -> int:
    """Return user and system time, in ticks, of the text of /proc/PID/stat (proc(5): fields 14 and 15)."""
    fields = _fields(stat)
    return int(fields[11]) + int(fields[12])


def start_ticks(stat: str) -> int:
    """Return when a process was started, in ticks since the machine was, of the text of /proc/PID/stat (field 22)."""
    return int(_fields(stat)[19])


def _fields(stat: str) -> list[str]:
    # From the third on. The second field is the name in parentheses, which may hold anything.
    return stat.rpartition(")")[2].split()


def rss_mb(status: str) -> float:
    """Return the resident memory, in MB of 1,000,000 bytes, of the text of /proc/PID/status."""
    for text in status.splitlines():
        if text.startswith("VmRSS:"):
            return int(text.split()[1]) * 1024 / 1e6
    return 0.0


def marked(mark: str) -> list[int]:
    """Return the processes whose environment holds the mark."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def named(pids: list[int], word: str) -> list[int]:
    """Return those whose command line, or title, holds the word."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if word in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                found.append(pid)
    return found


def cpu_s(pids: list[int]) -> float:
    """Return the CPU time that the processes have used so far; one that has ended counts for nothing."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            ticks += cpu_ticks(Path(f"/proc/{pid}/stat").read_text())
    return ticks / TICKS_PER_S


def scheduled_s(pids: list[int]) -> float:
    """Return the time that threads of now have had a core, to the nanosecond (/proc/PID/task/*/schedstat).

    For processes that use next to nothing: the ticks of `cpu_s` find a thread at work once in a hundredth of a second.
    """
    nanoseconds = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*"):
            with contextlib.suppress(OSError):
                nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def memory_mb(pids: list[int]) -> float:
    """Return the resident memory of the processes."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += rss_mb(Path(f"/proc/{pid}/status").read_text())
    return total


@contextlib.contextmanager
def paused(marks: Iterable[str]) -> Iterator[None]:
    """Stop the processes that have the marks for the time of the block, so that who idles takes no CPU from others."""
    stopped: list[int] = []
    try:
        for pid in (pid for mark in marks for pid in marked(mark)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        yield
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def end(mark: str) -> None:
    """Kill what a side has left behind."""
    for pid in marked(mark):
        if pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
