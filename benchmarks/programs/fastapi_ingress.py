"""A FastAPI application as the ingress."""

from fastapi import FastAPI
from ray import serve

api = FastAPI()


@serve.deployment(max_ongoing_requests=1000, max_queued_requests=2000, ray_actor_options={"num_cpus": 0})
@serve.ingress(api)
class Api:
    @api.get("/")
    async def hello(self, name: str = "world"):
        return {"hello": name}


app = Api.bind()
