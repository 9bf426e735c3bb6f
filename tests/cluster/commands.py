"""Commands: runs programs of the machine and says plainly what went wrong.

The only door to `subprocess` for programs that end; those that stay are in `processes`.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

TAIL_LINES = 25


class ClusterError(Exception):
    """The test cluster cannot do what was asked; the message says why."""


class CommandFailed(ClusterError):
    """A program ended with an error; the message holds the command and the end of what it said."""

    def __init__(self, argv: Sequence[str], status: int, output: str) -> None:
        said = "\n".join(output.strip().splitlines()[-TAIL_LINES:]) or "(it said nothing)"
        super().__init__(f"`{shlex.join(argv)}` ended with {status}:\n{said}")
        self.status = status
        self.output = output


def run(*argv: str | Path, input: str | bytes | None = None, cwd: Path | None = None, check: bool = True) -> str:
    """Return what the program printed; raise CommandFailed with the end of all it said."""
    words = [str(word) for word in argv]
    data = input.encode() if isinstance(input, str) else input
    stdin = subprocess.DEVNULL if data is None else None
    try:
        done = subprocess.run(words, input=data, stdin=stdin, cwd=cwd, capture_output=True, check=False)
    except FileNotFoundError as missing:
        raise ClusterError(f"{words[0]} is not on this machine") from missing
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode != 0:
        raise CommandFailed(words, done.returncode, out + err)
    return out


def succeeds(*argv: str | Path) -> bool:
    """Whether the program is there and ends well."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0
