"""As many idle deployments as the builder's argument ``count`` says, behind one ingress that answers at once."""

from ray import serve


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Idle:
    async def __call__(self, value):
        return value


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Ingress:
    def __init__(self, *others):
        self.others = others

    async def __call__(self, request):
        return "ok"


def app(args):
    return Ingress.bind(*(Idle.options(name=f"Idle{n}").bind() for n in range(int(args["count"]) - 1)))
