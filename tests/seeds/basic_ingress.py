import starlette.requests
from ray import serve


@serve.deployment
class MostBasicIngress:
    async def __call__(self, request: starlette.requests.Request) -> str:
        name = await request.json()["name"]
        return f"Hello {name}"


app = MostBasicIngress.bind()
serve.run(app)

import requests

print(requests.get("http://localhost:8000/", json={"name": "Corey"}).text)  # Hello Corey!
