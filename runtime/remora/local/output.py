"""What replicas print, on the terminal of `remora run`: they write to a pipe with a name, read here."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import BinaryIO, Final

MARK: Final = b"\0"
"""In no text: what comes before it was printed before `Output.mute`."""
MUTE_S: Final = 1.0


class Output:
    """A named pipe and the thread that copies it."""

    def __init__(self, path: Path, to: BinaryIO) -> None:
        self.path = path
        self._to = to
        os.mkfifo(path, 0o600)
        # Open for writing as well, so that it does not end with the last replica.
        self._fd = os.open(path, os.O_RDWR)
        self._ends = threading.Event()
        self._mutes = False
        self._muted = threading.Event()
        self._thread = threading.Thread(target=self._copy, name="output", daemon=True)
        self._thread.start()

    def _copy(self) -> None:
        while not self._ends.is_set():
            data = os.read(self._fd, 65536)
            if self._muted.is_set():
                continue  # Read all the same: whoever prints must not have to wait.
            if self._mutes:
                data, mark, _ = data.partition(MARK)
            else:
                mark = b""
            self._to.write(data[:-1] if self._ends.is_set() else data)
            self._to.flush()
            if mark:
                self._muted.set()

    def mute(self) -> None:
        """Copy what has been printed by now, and nothing of what follows."""
        self._mutes = True
        os.write(self._fd, MARK)
        self._muted.wait(MUTE_S)

    def close(self) -> None:
        """Copy what is there, and end."""
        self._ends.set()
        # A byte to wake the thread, which leaves it out.
        os.write(self._fd, b".")
        self._thread.join(1)
        os.close(self._fd)
        self.path.unlink(missing_ok=True)
