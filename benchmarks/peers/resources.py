"""Memory, CPU time and processes of pods, as the kernel of the machine on which the nodes are counts them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import processes

CPU_ACCOUNTS = Path("/sys/fs/cgroup/cpuacct")


def containers(pods: Iterable[dict[str, Any]]) -> list[str]:
    """Return the ids of the pods' running containers."""
    statuses = (status for pod in pods for status in pod.get("status", {}).get("containerStatuses", []))
    return [status["containerID"].rpartition("/")[2] for status in statuses if status.get("containerID")]


def memory_mib(pods: Iterable[dict[str, Any]]) -> float:
    """Return the memory that the pods' processes have, in MiB; pages that processes share count once (PSS)."""
    return sum(pss_kib(_read(it / "smaps_rollup")) for it in _processes(containers(pods))) / 1024


def cpu_s(pods: Iterable[dict[str, Any]]) -> float:
    """Return the CPU time that the pods' containers have used, in seconds, processes that have ended included."""
    groups = {account(_read(it / "cgroup")) for it in _processes(containers(pods))} - {""}
    return sum(int(_read(CPU_ACCOUNTS / it.lstrip("/") / "cpuacct.usage") or 0) for it in groups) / 1e9


def starts(pods: Iterable[dict[str, Any]]) -> list[tuple[str, float]]:
    """Return the command of each of the pods' processes, and when it was started, in seconds since 1970."""
    booted = time.time() - float(_read(Path("/proc/uptime")).split()[0])
    stats = (
        (_read(it / "cmdline").replace("\0", " ").strip(), _read(it / "stat")) for it in _processes(containers(pods))
    )
    return [(command, booted + processes.start_ticks(stat) / processes.TICKS_PER_S) for command, stat in stats if stat]


def pss_kib(smaps: str) -> int:
    """Return the proportional set size in the text of /proc/PID/smaps_rollup."""
    return sum(int(line.split()[1]) for line in smaps.splitlines() if line.startswith("Pss:"))


def account(cgroup: str) -> str:
    """Return the path that counts CPU time in the text of /proc/PID/cgroup; empty where there is none."""
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpuacct" in controllers.split(","):
            return path
    return ""


def _processes(wanted: list[str]) -> list[Path]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        groups = _read(folder / "cgroup")
        if any(it in groups for it in wanted):
            found.append(folder)
    return found


def _read(file: Path) -> str:
    """Return a file's text; empty when the process has ended meanwhile."""
    with contextlib.suppress(OSError):
        return file.read_text()
    return ""
