"""What a replica lets routers know of itself: its request router, how its full queue is answered, and what the user's
code records for it.

`record_replica_metadata` is called once, `record_routing_stats` every `request_routing_stats_period_s`. A replica whose
deployment has none of these says nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from remora.handle import payload
from remora.routing.config import RequestRouterConfig

log = logging.getLogger("remora.serve")


class Recorder(Protocol):
    """The user's object: `replica.user.UserCallable`."""

    request_router: RequestRouterConfig | None
    backpressure: Mapping[str, Any] | None

    def records(self, what: str) -> bool:
        """Return whether the user's code has such a method."""
        ...

    async def recorded(self, what: str) -> Any:
        """Return what it records."""
        ...


async def keep_telling(user: Recorder, tell: Callable[[Mapping[str, Any]], None]) -> None:
    """Tell the facts, and go on doing so when there are routing stats."""
    config = user.request_router or RequestRouterConfig()
    facts: dict[str, Any] = {}
    if user.request_router is not None and not user.request_router.is_default:
        facts["router"] = hashlib.sha256(payload.dumps(user.request_router).data).hexdigest()[:16]
    if user.backpressure:
        facts["backpressure"] = dict(user.backpressure)
    if user.records("record_replica_metadata"):
        facts["metadata"] = await _recorded(user, "record_replica_metadata", config)
    if facts:
        tell(facts)
    while user.records("record_routing_stats"):
        facts["stats"] = await _recorded(user, "record_routing_stats", config)
        try:
            tell(facts)
        except (TypeError, ValueError) as error:
            log.error("what record_routing_stats returned cannot be sent to routers: %s", error)
            facts.pop("stats")
        await asyncio.sleep(config.request_routing_stats_period_s)


async def _recorded(user: Recorder, what: str, config: RequestRouterConfig) -> Any:
    """Return what the user's code records; what it raises is logged, and the last facts stay."""
    try:
        async with asyncio.timeout(config.request_routing_stats_timeout_s):
            return await user.recorded(what)
    except Exception:
        log.exception("%s failed", what)
        return None
