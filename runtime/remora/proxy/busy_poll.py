"""Looks for what comes next a moment longer before the process sleeps, while that usually comes within the moment.

To be woken takes a process longer, above all on virtual machines, than a short handler takes to answer, and costs as
much of a core as looking meanwhile. So the loop polls instead of sleeping as long as recent waits were shorter than the
window, and lets whoever else wants the core have it before each look. What comes rarely, or late, finds it asleep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

SLOW_WINDOWS: Final = 10
"""A longer wait counts as one of so many windows: one ends the looking, until many short ones have come again."""
WEIGHT: Final = 1 / 8
"""Of one wait in the mean."""


def nothing() -> None:
    """In the place of `BusyPoll.heard`, where the process always sleeps."""


class Loop(Protocol):
    """What is asked of an event loop."""

    def call_soon(self, callback: Callable[[], None]) -> Any:
        """Call back in the next turn, which then only looks at its sockets and does not sleep."""
        ...


class BusyPoll:
    """Of one loop. Call `heard` whenever something has come."""

    __slots__ = ("_clock", "_heard", "_let_others", "_looking", "_loop", "_since", "_usual_s", "_window_s")

    def __init__(
        self,
        loop: Loop,
        window_s: float,
        *,
        clock: Callable[[], float],
        let_others: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._window_s = window_s
        self._clock = clock
        self._let_others = let_others
        self._heard = False
        """Something has come in this turn of the loop."""
        self._looking = False
        self._since = clock()
        """When the last turn in which something came was over."""
        self._usual_s = SLOW_WINDOWS * window_s

    def heard(self) -> None:
        """Something has come; what it causes happens in this turn of the loop."""
        if self._heard:
            return
        self._heard = True
        waited_s = min(self._clock() - self._since, SLOW_WINDOWS * self._window_s)
        self._usual_s += (waited_s - self._usual_s) * WEIGHT
        if not self._looking:
            self._looking = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        now = self._clock()
        if self._heard:
            self._heard = False
            self._since = now
            self._looking = self._usual_s <= self._window_s
        else:
            self._looking = now - self._since <= self._window_s
        if self._looking:
            self._let_others()
            self._loop.call_soon(self._look)
