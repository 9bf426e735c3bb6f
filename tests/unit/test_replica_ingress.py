"""ASGI applications as ingress: FastAPI with routes that are methods, plain ASGI, lifespans, WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, WebSocket
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from remora import serve
from remora.errors import BackPressureError, OptionError
from remora.local.in_process import InProcess
from remora.replica.failure import DeploymentFailure
from tests.unit.serving import serving

events: list[str] = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    events.append("startup")
    yield {"greeting": "Hello"}
    events.append("shutdown")


api = FastAPI(lifespan=lifespan)
router = APIRouter()


class Order(BaseModel):
    item: str
    count: int = 1


@serve.deployment
class Stock:
    def __call__(self, item: str) -> int:
        return {"pen": 3}.get(item, 0)


@serve.deployment
@serve.ingress(api)
class Shop:
    def __init__(self, stock: Any) -> None:
        self.stock = stock

    @api.get("/hello/{name}")
    async def hello(self, name: str, loud: bool = False) -> str:
        return f"Hello {name}{'!' if loud else ''}"

    @api.post("/orders")
    async def order(self, order: Order) -> dict[str, Any]:
        left = await self.stock.remote(order.item)
        if left < order.count:
            raise HTTPException(409, "sold out")
        return {"left": left - order.count}

    @api.get("/plain")
    def plain(self) -> str:
        return serve.get_replica_context().deployment

    @api.get("/broken")
    async def broken(self) -> None:
        raise RuntimeError("no")

    @api.get("/busy")
    async def busy(self) -> None:
        raise BackPressureError(1, 1)

    @api.websocket("/echo")
    async def echo(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(f"{await socket.receive_text()} {await self.stock.remote('pen')}")


@api.get("/function")
async def function(word: str = Depends(lambda: "injected")) -> str:
    return word


async def test_routes_that_are_methods_get_self_and_the_rest_is_fastapis() -> None:
    async with serving(Shop.bind(Stock.bind())) as app, app.client() as client:
        assert (await client.get("/hello/Corey?loud=true")).json() == "Hello Corey!"
        assert (await client.post("/orders", json={"item": "pen", "count": 2})).json() == {"left": 1}
        assert (await client.post("/orders", json={"item": "ink"})).status_code == 409
        assert (await client.get("/plain")).json() == "Shop"
        assert (await client.get("/function")).json() == "injected"
        assert (await client.post("/orders", json={})).status_code == 422
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.post("/hello/x")).status_code == 405
        assert "/orders" in (await client.get("/openapi.json")).json()["paths"]


async def test_a_route_that_raises_is_a_500_and_logged_with_the_deployment(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Shop.bind(Stock.bind())) as app, app.client() as client:
        response = await client.get("/broken")
        assert (response.status_code, response.text) == (500, "Internal Server Error")
    assert "deployment 'Shop'" in caplog.text


async def test_a_route_that_calls_what_is_full_answers_503() -> None:
    async with serving(Shop.bind(Stock.bind())) as app, app.client() as client:
        response = await client.get("/busy")
        assert (response.status_code, response.text) == (503, str(BackPressureError(1, 1)))
        assert response.headers["retry-after"] == "1"


shared = FastAPI(title="shared")


@serve.deployment
@serve.ingress(shared)
class First:
    @shared.get("/")
    def which(self) -> str:
        return "first"

    @shared.get("/only-first")
    def only(self) -> str:
        return "first"


@serve.deployment
@serve.ingress(shared)
class Second:
    @shared.get("/")
    def which_one(self) -> str:
        return "second"

    @shared.websocket("/talk")
    async def talk(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()


@shared.get("/all")
def of_all() -> str:
    return "all"


async def test_classes_that_share_an_application_have_their_own_routes_only() -> None:
    for app, name, paths in (
        (First.bind(), "first", ["/all", "/", "/only-first"]),
        (Second.bind(), "second", ["/all", "/"]),
    ):
        async with serving(app) as running, running.client() as client:
            assert (await client.get("/")).json() == name
            assert (await client.get("/only-first")).status_code == (200 if name == "first" else 404)
            assert (await client.get("/all")).json() == "all"
            schema = (await client.get("/openapi.json")).json()
            assert sorted(schema["paths"]) == sorted(paths)
            assert "shared" in (await client.get("/docs")).text


async def test_so_have_classes_that_were_made_in_a_function() -> None:
    local = FastAPI()

    @serve.deployment
    @serve.ingress(local)
    class One:
        @local.get("/")
        def which(self) -> str:
            return "one"

    @serve.deployment
    @serve.ingress(local)
    class Other:
        @local.get("/")
        def which_one(self) -> str:
            return "other"

    for app, name in ((One.bind(), "one"), (Other.bind(), "other")):
        async with serving(app) as running, running.client() as client:
            assert (await client.get("/")).json() == name


async def test_the_lifespan_is_around_the_requests() -> None:
    events.clear()
    async with serving(Shop.bind(Stock.bind())) as app:
        assert events == ["startup"]
        assert app.replicas_by_name["Shop"]._lifespan is not None
        assert app.replicas_by_name["Shop"]._lifespan.state == {"greeting": "Hello"}
    assert events == ["startup", "shutdown"]


async def test_websockets_reach_the_application() -> None:
    async with serving(Shop.bind(Stock.bind())) as app:
        received = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hi"}])
        sent = await talk(app, "/echo", received)
        assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]
        assert sent[1]["text"] == "hi 3"


async def test_a_websocket_to_a_plain_deployment_is_refused() -> None:
    async with serving(Stock.bind()) as app:
        sent = await talk(app, "/", iter([{"type": "websocket.connect"}]))
        assert [message["type"] for message in sent] == ["websocket.close"]


async def talk(app: InProcess, path: str, received: Any) -> list[dict[str, Any]]:
    """Hold a conversation with the ingress, and return what it said."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(received)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": []}
    await asyncio.wait_for(app.asgi("shop", {**scope, "subprotocols": [], "scheme": "ws"}, receive, send), 5)
    return sent


async def test_any_asgi_application_and_builder_functions_will_do() -> None:
    async def home(request: Any) -> PlainTextResponse:
        return PlainTextResponse(serve.get_replica_context().servable_object.word)

    def build_app() -> Starlette:
        return Starlette(routes=[Route("/", home)])

    class Site:
        def __init__(self, word: str) -> None:
            self.word = word

    class Late(Site):
        def __serve_build_asgi_app__(self) -> Starlette:
            return build_app()

    for site in (serve.ingress(build_app)(Site), serve.ingress()(Late)):
        async with serving(serve.deployment(site).bind("here")) as app, app.client() as client:
            assert (await client.get("/")).text == "here"

    bare = serve.deployment(serve.ingress(build_app)())
    async with serving(bare.bind(1)) as app:
        assert app.replicas_by_name["ASGIIngressDeployment"]._instance.args == (1,)


async def test_a_startup_that_fails_fails_the_replica() -> None:
    async def connected() -> None:
        raise ValueError("no database")

    @asynccontextmanager
    async def broken(app: Any) -> AsyncIterator[None]:
        await connected()
        yield

    @serve.deployment
    @serve.ingress(lambda: FastAPI(lifespan=broken))
    class Site:
        pass

    with pytest.raises(
        DeploymentFailure, match=r"deployment 'Site': its ASGI application cannot start: ValueError: no database"
    ):
        async with serving(Site.bind()):
            pass


def test_ingress_refuses_what_it_cannot_serve() -> None:
    class WithCall:
        def __call__(self) -> None: ...

    with pytest.raises(OptionError, match=r"WithCall has @serve.ingress and __call__"):
        serve.ingress(FastAPI())(WithCall)
    with pytest.raises(OptionError, match=r"needs Empty.__serve_build_asgi_app__"):
        serve.ingress()(type("Empty", (), {}))
