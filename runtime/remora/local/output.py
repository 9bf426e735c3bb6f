"""What replicas print, on the terminal of `remora run`: they write to a pipe with a name, read here."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import BinaryIO


class Output:
    """A named pipe and the thread that copies it."""

    def __init__(self, path: Path, to: BinaryIO) -> None:
        self.path = path
        self._to = to
        os.mkfifo(path, 0o600)
        # Open for writing as well, so that it does not end with the last replica.
        self._fd = os.open(path, os.O_RDWR)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._copy, name="output", daemon=True)
        self._thread.start()

    def _copy(self) -> None:
        while not self._ends.is_set():
            data = os.read(self._fd, 65536)
            self._to.write(data[:-1] if self._ends.is_set() else data)
            self._to.flush()

    def close(self) -> None:
        """Copy what is there, and end."""
        self._ends.set()
        # A byte to wake the thread, which leaves it out.
        os.write(self._fd, b".")
        self._thread.join(1)
        os.close(self._fd)
        self.path.unlink(missing_ok=True)
