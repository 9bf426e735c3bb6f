"""The proxy looks on instead of sleeping while what it waits for usually comes at once, and only then."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from remora.proxy.busy_poll import SLOW_WINDOWS, BusyPoll

WINDOW_S = 200e-6
LOOK_S = 5e-6


class Loop:
    """A loop whose turns take no time of ours."""

    def __init__(self) -> None:
        self.now = 100.0
        self.soon: deque[Callable[[], None]] = deque()
        self.yields = 0

    def call_soon(self, callback: Callable[[], None]) -> Any:
        self.soon.append(callback)

    def let_others(self) -> None:
        self.yields += 1

    def turn(self) -> None:
        """Run what is due, as one turn of a loop does."""
        for _ in range(len(self.soon)):
            self.soon.popleft()()
        self.now += LOOK_S

    @property
    def sleeps(self) -> bool:
        return not self.soon


def polling() -> tuple[Loop, BusyPoll]:
    loop = Loop()
    return loop, BusyPoll(loop, WINDOW_S, clock=lambda: loop.now, let_others=loop.let_others)


def come(loop: Loop, poll: BusyPoll, after_s: float) -> bool:
    """Let something come after so long; return whether the loop was awake then."""
    until = loop.now + after_s
    while not loop.sleeps and loop.now < until:
        loop.turn()
    awake = not loop.sleeps
    loop.now = max(loop.now, until)
    poll.heard()
    loop.turn()
    return awake


def test_short_waits_are_looked_through_from_some_on() -> None:
    loop, poll = polling()
    awake = [come(loop, poll, WINDOW_S / 4) for _ in range(100)]
    assert not awake[0], "nobody knows yet that it is worth it"
    assert all(awake[50:])
    assert loop.yields > 50, "whoever wants the core has it"


def test_long_waits_are_slept_through() -> None:
    loop, poll = polling()
    assert not any(come(loop, poll, 10 * WINDOW_S) for _ in range(100))
    assert loop.yields == 0


def test_it_gives_up_at_the_end_of_the_window() -> None:
    loop, poll = polling()
    for _ in range(100):
        come(loop, poll, WINDOW_S / 4)
    ended = loop.now + WINDOW_S
    while not loop.sleeps:
        loop.turn()
        assert loop.now < ended + 3 * LOOK_S


def test_one_long_wait_ends_the_looking_until_short_ones_have_come_again() -> None:
    loop, poll = polling()
    for _ in range(100):
        come(loop, poll, WINDOW_S / 4)
    come(loop, poll, 1.0)
    assert loop.sleeps
    awake = [come(loop, poll, WINDOW_S / 4) for _ in range(100)]
    assert not awake[0]
    assert awake[-1]


def test_a_slow_handler_between_quick_clients_is_not_worth_it() -> None:
    loop, poll = polling()
    for _ in range(50):
        come(loop, poll, WINDOW_S / 4)
        come(loop, poll, SLOW_WINDOWS * WINDOW_S)
    assert loop.sleeps
    assert loop.yields < 10


def test_what_comes_together_counts_once() -> None:
    loop, poll = polling()
    poll.heard()
    for _ in range(1000):
        poll.heard()
    assert len(loop.soon) == 1
    loop.turn()
    assert loop.sleeps, "the first wait was not short"
