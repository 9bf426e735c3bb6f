"""What user code prints: led to the pod's stdout, where `kubectl logs` finds it, with the replica's name before it.

Ray would keep it in files below its session. What is printed below Python (C code, child processes) arrives without
the name.
"""

from __future__ import annotations

import io
import os
import sys


class _Named(io.TextIOWrapper):
    """Text stream that writes whole lines, each with a name before it."""

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(io.FileIO(fd, "w", closefd=False), encoding="utf-8", errors="backslashreplace")
        self._name = name
        self._rest = ""

    def write(self, text: str) -> int:
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        if lines:
            super().write("".join(f"[{self._name}] {line}\n" for line in lines))
            super().flush()
        return len(text)

    def flush(self) -> None:
        """Keep the unfinished line: another process writes to the same file."""


def redirect(path: str, name: str) -> bool:
    """Lead stdout and stderr of this process to the file; False, and nothing changes, when it cannot be written."""
    if not path:
        return False
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    except OSError:
        return False
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)
    sys.stdout = _Named(1, name)
    sys.stderr = _Named(2, name)
    return True
