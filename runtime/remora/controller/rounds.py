"""When what is done again and again is due: at moments that all who wait share, so that an idle process wakes rarely.

To wake costs a process far more than what it then does for one replica: with each replica's check at a moment of its
own, and the poll of each at another, a controller of fifty woke eight times a second. Pure.
"""

from __future__ import annotations

from typing import Final

PARTS: Final = 10
"""Shared moments in a period. One would be fewer wake-ups still, and all replicas busy with their checks at once."""


def due(now_s: float, period_s: float) -> float:
    """Return the last shared moment that is at most a period from now: no sooner than nine tenths of it."""
    part_s = period_s / PARTS
    return (now_s + period_s) // part_s * part_s
