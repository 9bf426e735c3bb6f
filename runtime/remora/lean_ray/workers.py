"""How a raylet starts workers: fewer ahead, and forked of a template. Pure."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from remora.lean_ray import forked

PRESTARTED: Final = "--num_prestart_python_workers="
"""Option of the raylet: how many workers to start ahead, be it when it starts or when a driver comes; Ray says one for
each CPU."""
COMMAND: Final = "--python_worker_command="
"""Option of the raylet: the command line of a worker."""
PROGRAM: Final = "default_worker.py"
"""What a worker's program is called. Before it stands another one for workers with a runtime environment, which the
raylet leaves out for all others."""


def with_prestarted(command: Sequence[str], at_most: int) -> list[str]:
    """Return a raylet's command line that starts no more workers ahead than so many; another command as it is."""
    return [
        f"{PRESTARTED}{min(int(word.removeprefix(PRESTARTED)), at_most)}" if word.startswith(PRESTARTED) else word
        for word in command
    ]


def with_template(command: Sequence[str], template: Path) -> list[str]:
    """Return a raylet's command line whose workers are forked of a template, by its socket; another one as it is."""
    return [
        COMMAND + _forked(word.removeprefix(COMMAND), template) if word.startswith(COMMAND) else word
        for word in command
    ]


def _forked(command: str, template: Path) -> str:
    words = shlex.split(command)
    place = next((index for index, word in enumerate(words) if word.endswith(PROGRAM)), None)
    if place is None:
        return command
    return subprocess.list2cmdline([*words[:place], str(Path(forked.__file__)), str(template), *words[place:]])
