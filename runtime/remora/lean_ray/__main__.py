"""`python -m remora.lean_ray start …`: Ray's own `ray start …`, without processes that serve nobody in a pod.

A head that is to be joined (`--address`) need not be there yet: it is waited for, once Ray has been imported.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

from remora import memory, structured_log
from remora.lean_ray import template
from remora.lean_ray.lean import lean
from remora.reach import until_reachable

OTHER_COMMANDS: Final = ("ray.serve.scripts", "ray.util.state.state_cli", "ray.dashboard.modules.job.cli")
"""Modules of Ray's command line that have nothing of `start`: half of what it imports, Ray Serve and FastAPI among it.
Ray does without those that cannot be imported."""
ADDRESS: Final = "--address"


def main() -> None:
    """Run Ray's command line with this process's arguments; it ends the process."""
    # Before Ray's command line is imported, which draws ids.
    socket = _template() if ADDRESS in sys.argv else None
    with memory.importing(), without(*OTHER_COMMANDS):
        from ray.scripts.scripts import main as command_line

    structured_log.configure()
    sys.argv[1:] = asyncio.run(joinable(sys.argv[1:]))
    # A pod is there for a replica or more: one may find its process waiting. Others that nobody takes would stay.
    with lean(prestarted=1, template=socket):
        sys.exit(command_line())


def _template() -> Path | None:
    """Fork the template of this node's workers."""
    with memory.importing(), template.importable():
        import_module("ray")
    return template.fork(load, draw)


def load() -> None:
    """Import what a worker does before it is asked for anything."""
    for name in ("ray._private.workers.default_worker", "remora.replica.actor", "remora.replica.ahead"):
        import_module(name)


def draw() -> bytes:
    """Make an id by chance, as Ray's workers do."""
    from ray import ObjectRef

    drawn: bytes = ObjectRef.from_random().binary()
    return drawn


async def joinable(words: Sequence[str]) -> list[str]:
    """Wait for the head; return the words with its address, `host:port`, as Ray wants it, numeric and lasting."""
    if ADDRESS not in words:
        return list(words)
    place = list(words).index(ADDRESS) + 1
    host, _, port = words[place].rpartition(":")
    return [*words[:place], f"{await until_reachable(host, int(port))}:{port}", *words[place + 1 :]]


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Let nobody import these modules in the block."""
    absent = [name for name in modules if name not in sys.modules]
    # As the language has it: the import of a module that is None there raises ModuleNotFoundError.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


if __name__ == "__main__":
    main()
