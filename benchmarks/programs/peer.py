"""What both sides of benchmarks/peers serve: says its version, its image, its environment and its process."""

import asyncio
import os
import socket

from ray import serve
from starlette.responses import StreamingResponse


@serve.deployment
class Peer:
    def __init__(self, number):
        image, colour = os.environ.get("PEER_IMAGE", "-"), os.environ.get("COLOUR", "-")
        self.answer = f"{number} {image} {colour} {socket.gethostname()}/{os.getpid()}"

    async def __call__(self, request):
        seconds = float(request.query_params.get("seconds", 0))
        if request.url.path.endswith("/stream"):
            return StreamingResponse(self.tick(seconds), media_type="text/plain")
        if seconds:
            await asyncio.sleep(seconds)
        return self.answer

    async def tick(self, seconds):
        for index in range(int(seconds * 10)):
            yield f"{index}\n"
            await asyncio.sleep(0.1)


# Versions of the code: an image holds all of them, as the import path is what its user changes.
app1, app2, app3, app4, app5 = (Peer.bind(number) for number in "12345")
