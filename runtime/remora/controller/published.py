"""Published: a value with a version that others wait for. The server's half of a long poll, without HTTP."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Published(Generic[T]):
    """The latest value; nothing before the first `publish`."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.version = 0
        self._value: T | None = None
        self._moved = asyncio.Event()
        self._closed = False

    @property
    def latest(self) -> T | None:
        """The value now."""
        return self._value

    def publish(self, value: T) -> bool:
        """Make this the value, with a new version if it differs; True if it did."""
        if self.version and value == self._value:
            return False
        self._value = value
        self.version += 1
        self._wake()
        return True

    def close(self) -> None:
        """Let everyone who waits go, in vain."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def newer(self, epoch: str, after: int, timeout_s: float) -> tuple[int, T] | None:
        """Return the value with its version, at once if the caller has not got it, else when it moves; None in vain."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    value = self._value
                    if value is not None and (epoch != self.epoch or self.version > after):
                        return self.version, value
                    if self._closed:
                        return None
                    await self._moved.wait()
        except TimeoutError:
            return None
