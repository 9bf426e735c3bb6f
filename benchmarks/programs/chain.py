"""Three deployments, each of which calls the next by its handle."""

from ray import serve

OPTIONS = {"max_ongoing_requests": 1000, "max_queued_requests": 2000, "ray_actor_options": {"num_cpus": 0}}


@serve.deployment(**OPTIONS)
class Last:
    async def __call__(self, number):
        return number + 1


@serve.deployment(**OPTIONS)
class Middle:
    def __init__(self, following):
        self.following = following

    async def __call__(self, number):
        return await self.following.remote(number + 1)


@serve.deployment(**OPTIONS)
class First:
    def __init__(self, following):
        self.following = following

    async def __call__(self, request):
        return str(await self.following.remote(1))


app = First.bind(Middle.bind(Last.bind()))
