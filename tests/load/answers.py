"""``python -m tests.load.answers URL COUNT TIMEOUT``: GET requests in turn, each on a connection of its own.

Prints the texts of the answers as a JSON list. An answer other than 200 is an error with its number and its text.
"""

from __future__ import annotations

import asyncio
import json
import sys
from urllib.parse import urlsplit

from tests.load.http import Connection


async def answers(url: str, count: int, timeout_s: float) -> list[str]:
    """Return so many answers; raises OSError, BadAnswer, TimeoutError for one of them, and SystemExit for no 200."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    found = []
    for number in range(count):
        connection = Connection(parts.hostname or "127.0.0.1", parts.port or 80)
        async with asyncio.timeout(timeout_s):
            answer, text = await connection.request("GET", path)
        connection.close()
        if answer.status != 200:
            raise SystemExit(f"request {number + 1} of {count}: {answer.status} {text.decode('utf-8', 'replace')}")
        found.append(text.decode("utf-8", "replace"))
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(answers(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))))
