"""Processes: programs that stay after us, each with a record by which it is known again.

A record names a process by boot, pid and start time, so a pid that the machine has given
to somebody else since is never taken for ours, and never killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .waiting import happens, until

STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, told from every other that had or will have its pid."""

    pid: int
    started: int
    """In clock ticks since the boot."""
    boot: str


@dataclass(frozen=True, slots=True)
class Daemon:
    """A program to be kept running."""

    name: str
    argv: tuple[str, ...]


class Processes:
    """The daemons of a cluster: their records, and their logs."""

    def __init__(self, records: Path, logs: Path) -> None:
        self._records = records
        self._logs = logs

    def ensure(self, daemon: Daemon) -> bool:
        """Start the daemon unless it runs with these very arguments; return whether it was started."""
        record = self._record(daemon.name)
        if record is not None:
            identity, argv = record
            if is_alive(identity):
                if argv == daemon.argv:
                    return False
                stop([identity])
        self._start(daemon)
        return True

    def alive(self) -> dict[str, bool]:
        """Every daemon that was started, and whether it lives."""
        names = sorted(path.stem for path in self._records.glob("*.json"))
        return {name: self.is_alive(name) for name in names}

    def is_alive(self, name: str) -> bool:
        record = self._record(name)
        return record is not None and is_alive(record[0])

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def stop(self, *names: str, patience_s: float = STOP_S) -> None:
        """Stop these daemons, or all; they and what they forked have ended when it returns."""
        chosen = names or tuple(self.alive())
        records = [record for record in map(self._record, chosen) if record is not None]
        stop((identity for identity, _ in records), patience_s=patience_s)
        for name in chosen:
            self._path(name).unlink(missing_ok=True)

    def _start(self, daemon: Daemon) -> None:
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(daemon.name).open("ab") as log:
            process = subprocess.Popen(
                daemon.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        identity = identify(process.pid)
        process.returncode = 0  # It stays after us: Popen need not warn that it was left running.
        content = json.dumps({"identity": asdict(identity), "argv": daemon.argv})
        self._path(daemon.name).write_text(content)

    def _record(self, name: str) -> tuple[Identity, tuple[str, ...]] | None:
        path = self._path(name)
        if not path.exists():
            return None
        content = json.loads(path.read_text())
        return Identity(**content["identity"]), tuple(content["argv"])

    def _path(self, name: str) -> Path:
        return self._records / f"{name}.json"


def identify(pid: int) -> Identity:
    state = _stat(pid)
    if state is None:
        raise ProcessLookupError(pid)
    return Identity(pid=pid, started=state[1], boot=boot_id())


def is_alive(identity: Identity) -> bool:
    """Whether this very process runs; one that has ended but was not yet collected does not."""
    if identity.boot != boot_id():
        return False
    state = _stat(identity.pid)
    return state is not None and state[0] != "Z" and state[1] == identity.started


def stop(identities: Iterable[Identity], *, patience_s: float = STOP_S) -> None:
    """End these sessions: first with SIGTERM, then with SIGKILL."""
    living = [identity for identity in identities if is_alive(identity)]
    for identity in living:
        _signal(identity, signal.SIGTERM)
    if not happens(lambda: not any(map(is_alive, living)), timeout_s=patience_s):
        for identity in filter(is_alive, living):
            _signal(identity, signal.SIGKILL)
    until(lambda: not any(map(is_alive, living)), what="killed processes end", timeout_s=STOP_S)


def kill(pids: Iterable[int]) -> None:
    """Kill processes that are ours by where they live, and wait until they are gone."""
    identities = [Identity(pid, state[1], boot_id()) for pid in pids if (state := _stat(pid)) is not None]
    for identity in identities:
        _signal_one(identity.pid, signal.SIGKILL)
    until(lambda: not any(map(is_alive, identities)), what="killed processes end", timeout_s=STOP_S)


def find(words: Sequence[str]) -> list[int]:
    """Processes whose command line holds all these words, each as a whole argument."""
    return [pid for pid in _pids() if set(words) <= set(_arguments(pid))]


def told_of(folder: Path, but: Path) -> list[int]:
    """Processes that were given a path below a folder, and not that one, as a flag's value: daemons are."""
    return [
        pid
        for pid in _pids()
        if any(f"={folder}/" in word and not word.endswith(f"={but}") for word in _arguments(pid))
    ]


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _signal(identity: Identity, number: signal.Signals) -> None:
    try:
        os.killpg(identity.pid, number)
    except ProcessLookupError:
        return  # It ended by itself in between.


def _signal_one(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # It ended by itself in between.


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start time, from the fields after the command's name, which may hold spaces."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[19])


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
