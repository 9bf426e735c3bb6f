"""A handler that takes 10 ms, on two replicas of which each does five at a time: 1,000 requests/s at the most."""

import asyncio

from ray import serve

SLEEP_S = 0.01


@serve.deployment(num_replicas=2, max_ongoing_requests=5, max_queued_requests=2000, ray_actor_options={"num_cpus": 0})
class Sleeps:
    async def __call__(self, request):
        await asyncio.sleep(SLEEP_S)
        return "ok"


app = Sleeps.bind()
