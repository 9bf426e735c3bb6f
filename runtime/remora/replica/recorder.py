"""Calls the user's `record_autoscaling_stats`, whenever a policy is asked: about once a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

from remora.replica.stats import METHOD, Series, Window

log = logging.getLogger("remora.serve")

LIMIT_S: Final = 0.5
"""Of one call: whoever asks waits for it."""


class Records(Protocol):
    """The user's object: `replica.user.UserCallable`."""

    def records(self, what: str) -> bool:
        """Return whether the user's code has such a method."""
        ...

    async def recorded(self, what: str) -> Any:
        """Return what it records."""
        ...


class Recorder:
    """Of one replica; the clock gives Unix time."""

    def __init__(self, user: Records, clock: Callable[[], float]) -> None:
        self._user = user
        self._clock = clock
        self._window = Window()

    @staticmethod
    def is_for(user: Records) -> bool:
        """Return whether the user's code records anything for policies."""
        return user.records(METHOD)

    async def recorded(self, look_back_s: float) -> Series:
        """Record once more, and return the look-back period; what user code raises is logged, and the rest stays."""
        try:
            async with asyncio.timeout(LIMIT_S):
                said = await self._user.recorded(METHOD)
            self._window.add(said, self._clock())
        except Exception:
            log.exception("%s failed", METHOD)
        return self._window.since(self._clock() - look_back_s)
