"""Waiting until somebody listens at an address."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger("remora.reach")

PAUSE_S = 0.2
CONNECT_S = 2.0
WORD_EVERY = 50


async def until_reachable(host: str, port: int) -> str:
    """Return the IP address behind the host, once a connection to the port succeeds; resolves it anew each time."""
    attempt = 0
    while True:
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            if attempt % WORD_EVERY == 0:
                log.info("waiting for %s:%d: %s", host, port, str(error) or type(error).__name__)
            attempt += 1
            await asyncio.sleep(PAUSE_S)
            continue
        address: str = writer.get_extra_info("peername")[0]
        writer.close()
        return address
