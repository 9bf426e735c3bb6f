"""Progress: what is being done, on stderr, with the seconds it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def step(what: str, usually: str = "") -> Iterator[None]:
    """Say what begins, and when it is done how long it took. `usually` is for what takes long."""
    if usually:
        say(f"… {what} (usually {usually})")
    begun = time.monotonic()
    yield
    say(f"✓ {what} ({time.monotonic() - begun:.1f} s)")
