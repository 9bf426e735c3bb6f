"""A deployment that calls another by its handle, as often as it can for a while, and says how often that was."""

import asyncio
import time

from ray import serve

OPTIONS = {"max_ongoing_requests": 1000, "max_queued_requests": 2000, "ray_actor_options": {"num_cpus": 0}}
VALUE = b"x" * 200


@serve.deployment(**OPTIONS)
class Callee:
    async def __call__(self, value):
        return value


@serve.deployment(**OPTIONS)
class Caller:
    def __init__(self, callee):
        self.callee = callee

    async def __call__(self, request):
        seconds, flight = float(request.query_params["seconds"]), int(request.query_params["flight"])
        times = []
        began = time.perf_counter()
        await asyncio.gather(*(self._call_until(began + seconds, times) for _ in range(flight)))
        spent = time.perf_counter() - began
        times.sort()
        return {"calls_per_s": len(times) / spent, "p50_ms": times[len(times) // 2] * 1000}

    async def _call_until(self, end, times):
        while (before := time.perf_counter()) < end:
            await self.callee.remote(VALUE)
            times.append(time.perf_counter() - before)


app = Caller.bind(Callee.bind())
