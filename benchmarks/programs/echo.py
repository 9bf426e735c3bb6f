"""A handler that sends the body back."""

from ray import serve
from starlette.responses import Response


@serve.deployment(max_ongoing_requests=1000, max_queued_requests=2000, ray_actor_options={"num_cpus": 0})
class Echo:
    async def __call__(self, request):
        return Response(await request.body(), media_type="application/octet-stream")


app = Echo.bind()
