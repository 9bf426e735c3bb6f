"""A handler that answers at once."""

from ray import serve


@serve.deployment(max_ongoing_requests=1000, max_queued_requests=2000, ray_actor_options={"num_cpus": 0})
class Noop:
    async def __call__(self, request):
        return "ok"


app = Noop.bind()
