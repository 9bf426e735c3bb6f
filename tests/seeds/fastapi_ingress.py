from fastapi import FastAPI
from ray import serve

app = FastAPI()


@serve.deployment
@serve.ingress(app)
class MostBasicIngress:
    @app.get("/{name}")
    async def say_hi(self, name: str) -> str:
        return f"Hello {name}"


ingress = MostBasicIngress.bind()
serve.run(ingress)
