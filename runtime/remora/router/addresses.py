"""Where replicas are: the long poll of one controller's ``GET /v1/routes``.

Tells its listener every new snapshot. While the controller is away it tells nothing, so the last one stays in use.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from remora.http_client import HttpError, SignedClient
from remora_api.message import Unreadable
from remora_api.wire import RoutesSnapshot

logger = logging.getLogger(__name__)

POLL_S: Final = 20.0
GRACE_S: Final = 5.0
"""Beyond the poll's own time, before the controller counts as away."""
FIRST_RETRY_S: Final = 0.1
LAST_RETRY_S: Final = 2.0
GROWTH: Final = 2.0


async def follow(client: SignedClient, listener: Callable[[RoutesSnapshot], None], wanted: asyncio.Event) -> None:
    """Tell ``listener`` each snapshot, until cancelled.

    A controller that is away is asked more and more rarely, and at once again when a snapshot is ``wanted``.
    """
    epoch, version = "", 0
    delay_s = FIRST_RETRY_S
    away = False
    while True:
        query = {"epoch": epoch, "after": version, "timeout_s": POLL_S}
        try:
            answer = await client.get("/v1/routes", query, timeout_s=POLL_S + GRACE_S)
            snapshot = RoutesSnapshot.from_json(answer.body) if answer.status == 200 else None
        except (HttpError, Unreadable) as error:
            if not away:
                logger.warning("the routes stay as they are, the controller does not answer: %s", error)
                away = True
            await asyncio.sleep(FIRST_RETRY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_s - FIRST_RETRY_S):
                    await wanted.wait()
            delay_s = FIRST_RETRY_S if wanted.is_set() else min(LAST_RETRY_S, delay_s * GROWTH)
            wanted.clear()
            continue
        if away:
            logger.info("the controller %s answers again", client.base_url)
            away = False
        delay_s = FIRST_RETRY_S
        if snapshot is not None and (snapshot.epoch, snapshot.version) != (epoch, version):
            epoch, version = snapshot.epoch, snapshot.version
            listener(snapshot)
