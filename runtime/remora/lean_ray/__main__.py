"""`python -m remora.lean_ray start …`: Ray's own `ray start …`, without processes that serve nobody in a pod."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from remora import memory
from remora.lean_ray.lean import lean

OTHER_COMMANDS: Final = ("ray.serve.scripts", "ray.util.state.state_cli", "ray.dashboard.modules.job.cli")
"""Modules of Ray's command line that have nothing of `start`: half of what it imports, Ray Serve and FastAPI among it.
Ray does without those that cannot be imported."""


def main() -> None:
    """Run Ray's command line with this process's arguments; it ends the process."""
    with memory.importing(), without(*OTHER_COMMANDS):
        from ray.scripts.scripts import main as command_line

    with lean():
        sys.exit(command_line())


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
