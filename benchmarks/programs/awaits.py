"""A handler that awaits once, as almost every real one does."""

import asyncio

from ray import serve


@serve.deployment(max_ongoing_requests=1000, max_queued_requests=2000, ray_actor_options={"num_cpus": 0})
class Awaits:
    async def __call__(self, request):
        await asyncio.sleep(0)
        return "ok"


app = Awaits.bind()
