"""``python -m benchmarks.knative.burst URL COUNT SPREAD_S TIMEOUT_S HEADERS``: so many requests, told to begin.

It waits until its input ends, sends them evenly over SPREAD_S, each on a connection of its own and never twice, and
prints a JSON list of `[began, ended, status, text]` as `benchmarks.peers.probe` has them. HEADERS is a JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping

from benchmarks.peers.probe import one


async def burst(
    url: str, count: int, spread_s: float, timeout_s: float, headers: Mapping[str, str]
) -> list[tuple[float, float, int, str]]:
    """Return all answers, in the order of their requests."""

    async def nth(number: int) -> tuple[float, float, int, str]:
        await asyncio.sleep(spread_s * number / count)
        return await one(url, timeout_s, headers)

    return await asyncio.gather(*(nth(it) for it in range(count)))


if __name__ == "__main__":
    address, many, spread, timeout, given = sys.argv[1:]
    sys.stdin.read()
    print(json.dumps(asyncio.run(burst(address, int(many), float(spread), float(timeout), json.loads(given)))))
