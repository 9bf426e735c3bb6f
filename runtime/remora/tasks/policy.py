"""Stands for `ray.serve.async_inference_autoscaling_policy`: as many replicas as there are tasks and requests."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from remora.replica.policy import AutoscalingContext
from remora.tasks.queue_length import NoLength, Queue

__all__ = ["AsyncInferenceAutoscalingPolicy"]

log = logging.getLogger("remora.replica")

POLL_S: Final = 10.0


class AsyncInferenceAutoscalingPolicy:
    """Wants one replica for every `target_ongoing_requests` of the tasks that wait and the requests that there are.

    It asks the broker every `poll_interval_s` seconds, beside what it answers: the answer after the first is the first
    that knows of the queue. While the broker says nothing, what it said last holds.
    """

    def __init__(
        self,
        broker_url: str,
        queue_name: str,
        rabbitmq_management_url: str | None = None,
        poll_interval_s: float = POLL_S,
    ) -> None:
        """Take where the queue is; raise UnknownBroker for a broker that is neither Redis nor RabbitMQ."""
        self._queue = Queue(broker_url, queue_name, rabbitmq_management_url)
        self._interval_s = poll_interval_s
        self._length = 0
        self._poll: asyncio.Task[None] | None = None
        self._asked_at: float | None = None

    def __call__(self, ctx: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        """Return the number of replicas and the queue's length; must be called on an event loop."""
        loop = asyncio.get_running_loop()
        is_due = self._asked_at is None or loop.time() - self._asked_at >= self._interval_s
        if is_due and (self._poll is None or self._poll.done()):
            self._asked_at = loop.time()
            self._poll = loop.create_task(self._ask())
        return wanted(ctx, self._length), {"queue_length": self._length}

    async def _ask(self) -> None:
        try:
            self._length = await self._queue.length()
        except NoLength as error:
            log.warning("%s; %d are taken to wait, as it said last", error, self._length)
        except ImportError as error:
            log.error("%s", error)


def wanted(ctx: AutoscalingContext, waiting: int) -> float:
    """Return how many replicas so many waiting tasks, and the requests that there are, ask for."""
    work = ctx.total_num_requests + waiting
    if ctx.current_num_replicas == 0:
        return 1 if work > 0 else 0
    return float(work / ctx.config.get_target_ongoing_requests())
