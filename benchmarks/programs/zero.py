"""What Remora serves in benchmarks/knative: zero_plain.py is the same for Knative."""

import asyncio
import os
import socket
import time

from ray import serve


@serve.deployment
class Zero:
    def __init__(self):
        time.sleep(float(os.environ.get("CONSTRUCTOR_S", "0")))
        self.answer = socket.gethostname()

    async def __call__(self, request):
        seconds = float(request.query_params.get("seconds", 0))
        if seconds:
            await asyncio.sleep(seconds)
        return self.answer


app = Zero.bind()
