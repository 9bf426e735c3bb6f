"""What the demo shows: steps with their seconds, and waits whose reason is visible."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event


class GaveUp(Exception):
    """Something did not come in time; the message says what was last seen and what to look at."""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print a step's title, and its seconds when it is done."""
    began = time.monotonic()
    print(f"▸ {title}", flush=True)
    yield
    print(f"  done in {time.monotonic() - began:.1f} s", flush=True)


def wait_until(done: Callable[[], bool], seen: Callable[[], str], limit_s: float, pause_s: float = 0.5) -> None:
    """Poll a remote state until it is as wanted, printing what is seen as it changes; raises GaveUp."""
    began, last = time.monotonic(), ""
    pause = Event()
    while not done():
        now = seen()
        if now != last:
            print(f"  {time.monotonic() - began:5.1f} s  {now}", flush=True)
            last = now
        if time.monotonic() - began > limit_s:
            raise GaveUp(f"not there after {limit_s:.0f} s; last seen: {last}")
        pause.wait(pause_s)


def say(text: str) -> None:
    """Print a line that is not part of a step."""
    print(text, flush=True)


def complain(text: str) -> None:
    """Print an error's sentence to standard error."""
    print(f"demo: {text}", file=sys.stderr, flush=True)
