"""One idle deployment with as many replicas as the builder's argument ``replicas`` says."""

from ray import serve


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Scaled:
    async def __call__(self, request):
        return "ok"


def app(args):
    return Scaled.options(num_replicas=int(args["replicas"])).bind()
