"""An application that says which process answered, and can stream for a while."""

import asyncio
import os

from ray import serve
from starlette.responses import StreamingResponse


@serve.deployment
class Steady:
    """Answers with its process id; `/stream?seconds=30` sends a line each 100 ms."""

    async def __call__(self, request):
        if request.url.path.endswith("/stream"):
            return StreamingResponse(self.tick(float(request.query_params["seconds"])), media_type="text/plain")
        return f"{os.environ.get('POD_NAME', 'here')}/{os.getpid()}"

    async def tick(self, seconds):
        for index in range(int(seconds * 10)):
            yield f"{index}\n"
            await asyncio.sleep(0.1)


app = Steady.bind()
