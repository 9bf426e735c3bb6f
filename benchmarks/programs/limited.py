"""The same work on one replica with a short queue: 500 requests/s, and 503 for what is beyond."""

import asyncio

from ray import serve

SLEEP_S = 0.01


@serve.deployment(max_ongoing_requests=5, max_queued_requests=10, ray_actor_options={"num_cpus": 0})
class Limited:
    async def __call__(self, request):
        await asyncio.sleep(SLEEP_S)
        return "ok"


app = Limited.bind()
