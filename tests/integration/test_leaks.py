"""Nothing is left of requests that were answered, cancelled, or whose client went: `benchmarks.leaks`, smaller."""

from __future__ import annotations

from random import Random

from benchmarks.leaks.__main__ import beyond, table
from benchmarks.leaks.soak import Amount, soak


async def test_nothing_is_left_of_answered_cancelled_and_disconnected_requests() -> None:
    found = await soak(Amount(20_000, 300, 300), warm_up=Amount(5_000, 100, 100), rng=Random(1))
    # An object for each cancelled request would be 300 of them, and one of 250 bytes for each answered one 5 MB.
    assert beyond(found, slack_mb=5, slack_objects=150) == [], table(found)
