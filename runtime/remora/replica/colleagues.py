"""The other replicas that a policy decides about, asked over Ray for what their user's code records.

A policy runs in one replica; the values of all lie in the replicas themselves until it asks. Those that have no
`record_autoscaling_stats` are asked once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from remora.replica.actor_names import NAMESPACE
from remora.replica.stats import Series

log = logging.getLogger("remora.replica")

PATIENCE_S: Final = 1.0
"""Values of a replica that takes longer are left out: a policy is asked about once a second."""


class Colleagues:
    """Replicas by name, as far as they are known."""

    def __init__(self) -> None:
        self._actors: dict[str, Any] = {}
        self._silent: set[str] = set()

    async def recorded(self, replicas: Mapping[str, float]) -> dict[str, Series]:
        """Return what each replica recorded in its look-back period (given in seconds); those that say nothing lack."""
        self._actors = {name: actor for name, actor in self._actors.items() if name in replicas}
        self._silent &= replicas.keys()
        asked = [name for name in replicas if name not in self._silent]
        answers = await asyncio.gather(*(self._ask(name, replicas[name]) for name in asked))
        return {name: series for name, series in zip(asked, answers, strict=True) if series is not None}

    async def _ask(self, name: str, look_back_s: float) -> Series | None:
        from ray.exceptions import RayError

        try:
            async with asyncio.timeout(PATIENCE_S):
                if name not in self._actors:
                    self._actors[name] = await asyncio.to_thread(_actor, name)
                answer: Series | None = await self._actors[name].autoscaling_stats.remote(look_back_s)
        except (ValueError, RayError, TimeoutError) as error:
            log.debug("replica %s does not say what it recorded: %s", name, error)
            return None
        if answer is None:
            self._silent.add(name)
        return answer


def _actor(name: str) -> Any:
    import ray

    return ray.get_actor(name, namespace=NAMESPACE)
