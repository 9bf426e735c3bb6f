"""``python -m tests.load.ask URL METHOD BODY TIMEOUT HEADERS``: one request; prints its head as JSON, then the body.

HEADERS is a JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
from urllib.parse import urlsplit

from tests.load.http import Connection


async def ask(url: str, method: str, body: str, timeout_s: float, headers: dict[str, str]) -> None:
    """Send one request and print the answer."""
    parts = urlsplit(url)
    connection = Connection(parts.hostname or "127.0.0.1", parts.port or 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    async with asyncio.timeout(timeout_s):
        answer, text = await connection.request(
            method, path, body.encode(), ({"Content-Type": "application/json"} if body else {}) | headers
        )
    connection.close()
    print(json.dumps({"status": answer.status, "headers": answer.headers}))
    sys.stdout.write(text.decode("utf-8", "replace"))


if __name__ == "__main__":
    given_headers = json.loads(sys.argv[5]) if len(sys.argv) > 5 else {}
    asyncio.run(ask(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), given_headers))
