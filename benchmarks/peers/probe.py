"""``python -m benchmarks.peers.probe URL``: a request on a connection of its own, again and again; never twice.

Prints a line of JSON for each as it is answered, `[began, ended, status, text]`, both in seconds since 1970; the status
is 0 where no answer came, and the text says why. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from tests.load.http import BadAnswer, Connection

EVERY_S = 0.2
TIMEOUT_S = 15.0


async def probe(url: str) -> None:
    """Send requests until told to stop; one that takes long holds up no other."""
    loop = asyncio.get_running_loop()
    over = loop.run_in_executor(None, sys.stdin.read)
    due = loop.time()
    async with asyncio.TaskGroup() as tasks:
        while not over.done():
            tasks.create_task(_told(url))
            due += EVERY_S
            await asyncio.wait([over], timeout=max(0.0, due - loop.time()))


async def _told(url: str) -> None:
    print(json.dumps(await one(url, TIMEOUT_S, {})), flush=True)


async def one(url: str, timeout_s: float, headers: Mapping[str, str]) -> tuple[float, float, int, str]:
    """Send a GET request on a connection of its own, and return its answer as it is printed; raises nothing."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = Connection(parts.hostname or "127.0.0.1", parts.port or 80)
    began = time.time()
    try:
        async with asyncio.timeout(timeout_s):
            answer, body = await connection.request("GET", path, headers=dict(headers))
        status, text = answer.status, body.decode("utf-8", "replace")[:200]
    except (OSError, BadAnswer, TimeoutError) as error:
        status, text = 0, f"{type(error).__name__} {error}"
    finally:
        connection.close()
    return began, time.time(), status, text


if __name__ == "__main__":
    asyncio.run(probe(sys.argv[1]))
