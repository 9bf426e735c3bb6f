"""A handler that streams 1,000 chunks of 100 bytes."""

from ray import serve
from starlette.responses import StreamingResponse

COUNT = 1000
CHUNK = b"x" * 100


async def chunks():
    for _ in range(COUNT):
        yield CHUNK


@serve.deployment(max_ongoing_requests=1000, max_queued_requests=2000, ray_actor_options={"num_cpus": 0})
class Chunks:
    async def __call__(self, request):
        return StreamingResponse(chunks(), media_type="application/octet-stream")


app = Chunks.bind()
