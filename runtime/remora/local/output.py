"""What replicas print, on the terminal of `remora run`: they write to a pipe with a name, read here."""

from __future__ import annotations

import fcntl
import os
import select
import sys
import termios
import threading
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final

PART_BYTES: Final = 65_536
MUTE_S: Final = 1.0
END_S: Final = 1.0


class _Wants(Enum):
    """What the thread is asked to do, a byte each on a pipe of its own.

    Not in the pipe that replicas write to: a write to that one waits where it is full.
    """

    MUTE = b"m"
    END = b"e"


class Output:
    """A named pipe and the thread that copies it."""

    def __init__(self, path: Path, to: BinaryIO) -> None:
        self.path = path
        self._to = to
        os.mkfifo(path, 0o600)
        # Open for writing as well, so that it does not end with the last replica.
        self._fd = os.open(path, os.O_RDWR)
        self._wakes, self._wake = os.pipe()
        self._mutes = False
        self._muted = threading.Event()
        self._thread = threading.Thread(target=self._copy, name="output", daemon=True)
        self._thread.start()

    def _copy(self) -> None:
        either = select.poll()
        either.register(self._fd, select.POLLIN)
        either.register(self._wakes, select.POLLIN)
        while True:
            ready = {fd for fd, _ in either.poll()}
            if self._wakes not in ready:
                self._part(PART_BYTES)
                continue
            wants = _Wants(os.read(self._wakes, 1))
            # What is there now and no more: whoever goes on printing must not keep it from ending.
            there = _waiting(self._fd)
            while there > 0:
                there -= self._part(min(there, PART_BYTES))
            if wants is _Wants.END:
                return
            self._mutes = True
            self._muted.set()

    def _part(self, most: int) -> int:
        """Copy up to `most` bytes, of which there is one at least; their number."""
        data = os.read(self._fd, most)
        if not self._mutes:  # Read all the same: whoever prints must not have to wait.
            self._to.write(data)
            self._to.flush()
        return len(data)

    def mute(self) -> None:
        """Copy what has been printed by now, and nothing of what follows."""
        os.write(self._wake, _Wants.MUTE.value)
        self._muted.wait(MUTE_S)

    def close(self) -> None:
        """Copy what is there, and end."""
        os.write(self._wake, _Wants.END.value)
        self._thread.join(END_S)
        if not self._thread.is_alive():  # It may hang in a terminal that takes nothing.
            for fd in (self._fd, self._wakes, self._wake):
                os.close(fd)
        self.path.unlink(missing_ok=True)


def _waiting(fd: int) -> int:
    """Bytes that a read of `fd` would find: ioctl(2), FIONREAD."""
    found = fcntl.ioctl(fd, termios.FIONREAD, bytes(4))
    return int.from_bytes(found, sys.byteorder)
