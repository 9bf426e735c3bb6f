"""Everything that can leave something behind: calls, calls that are cancelled, requests that hang, endless streams."""

import asyncio

from ray import serve
from starlette.responses import StreamingResponse

OPTIONS = {"max_ongoing_requests": 1000, "max_queued_requests": 2000, "ray_actor_options": {"num_cpus": 0}}
CHUNK = b"x" * 1000


@serve.deployment(**OPTIONS)
class Callee:
    async def __call__(self, value):
        return value

    async def hang(self):
        await asyncio.Event().wait()

    async def endless(self):
        while True:
            yield CHUNK
            await asyncio.sleep(0.001)


@serve.deployment(**OPTIONS)
class Caller:
    def __init__(self, callee):
        self.callee = callee
        self.endless = callee.options(stream=True).endless

    async def __call__(self, request):
        match request.url.path:
            case "/hang":
                return await self.callee.hang.remote()
            case "/cancel":
                response = self.callee.hang.remote()
                waiting = asyncio.ensure_future(response)
                await asyncio.sleep(0.001)
                response.cancel()
                await asyncio.wait([waiting])
                return "cancelled" if waiting.cancelled() or waiting.exception() else "answered"
            case "/endless":
                return StreamingResponse(self._chunks(), media_type="application/octet-stream")
        return await self.callee.remote("ok")

    async def _chunks(self):
        async for chunk in self.endless.remote():
            yield chunk


app = Caller.bind(Callee.bind())
